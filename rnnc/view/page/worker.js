// The worker: Graphviz, which stands before this text, off the page's own thread.
let loading = null;

onmessage = async ({ data }) => {
  try {
    loading ??= Graphviz.load();
    const graphviz = await loading;
    postMessage({ id: data.id, text: graphviz.layout(data.dot, "json0", "dot") });
  } catch (error) {
    postMessage({ id: data.id, error: String(error) });
  }
};
