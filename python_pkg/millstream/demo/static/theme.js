// The theme that was chosen, before anything is drawn: else the page would flash.
document.documentElement.dataset.theme = localStorage.getItem("millstream-theme") ?? "auto";
