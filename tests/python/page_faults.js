// What is wrong with a page for those who see it badly or not at all: {texts, faults}.
//
// Contrast of all text (WCAG 2, 1.4.3: 4.5) and of the buttons' signs (1.4.11: 3), names of what
// can be used, the order of headings, landmarks.
() => {
  const faults = [];
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  /** Any CSS colour as [red, green, blue, opacity]. */
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) =>
    [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const behind = (node) => {
    if (!node) return [255, 255, 255, 1];
    const color = rgba(getComputedStyle(node).backgroundColor);
    return color[3] === 1 ? color : over(color, behind(node.parentElement));
  };
  const light = (color) => {
    const [r, g, b] = color.slice(0, 3).map((value) => {
      const c = value / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (node, color) => {
    const back = behind(node);
    const [high, low] = [light(over(rgba(color), back)), light(back)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };

  const isSeen = (node) => node.checkVisibility() && node.getBoundingClientRect().width > 1;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const demand = (holds, fault) => holds || faults.push(fault);

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {
    const { data, parentElement: node } = walker.currentNode;
    if (!data.trim() || !isSeen(node)) continue;
    texts++;
    const ratio = contrast(node, getComputedStyle(node).color);
    demand(ratio >= 4.5, `contrast ${ratio.toFixed(2)}: ${data}`);
  }
  for (const sign of all("button svg").filter(isSeen)) {
    const ratio = contrast(sign.parentElement, getComputedStyle(sign).color);
    demand(ratio >= 3, `contrast of a sign ${ratio.toFixed(2)}`);
  }
  for (const node of all("button, a, textarea, summary, [tabindex='0']")) {
    const label = node.labels?.[0]?.textContent;
    const name = node.getAttribute("aria-label") || label || node.textContent;
    demand(name.trim(), `no name: ${node.outerHTML.slice(0, 80)}`);
  }
  for (const sign of all("svg")) demand(sign.closest("[aria-hidden=true]"), "a sign is read out");
  const ids = all("[id]").map((node) => node.id);
  demand(new Set(ids).size === ids.length, "an id twice");
  for (const one of ["h1", "main", "header", "footer", "[role=log]", "[aria-live=polite]"]) {
    demand(all(one).length === 1, `not one ${one}`);
  }
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6").filter((each) => each.checkVisibility())) {
    const next = Number(heading.tagName[1]);
    demand(next <= level + 1, `h${next} after h${level}`);
    level = next;
  }
  demand(document.documentElement.lang, "no language");
  return { texts, faults };
}
