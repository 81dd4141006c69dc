export default { base: "/react/", esbuild: { jsx: "automatic" }, build: { modulePreload: false } };
