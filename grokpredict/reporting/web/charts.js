// Every figure as a specification of Vega-Lite.

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const logit = (p) => Math.log(p / (1 - p));
const clipped = (p) => Math.min(Math.max(p, 5e-4), 1 - 5e-4);

const isNarrow = () => document.documentElement.clientWidth < 600;

function draw(id, spec) {
  const ink = dark.matches ? "#e6e8ea" : "#1c1f23", line = dark.matches ? "#363b41" : "#e3e6e9";
  const font = "system-ui, sans-serif";
  const config = {
    background: "transparent", font, view: { stroke: null },
    axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line,
            labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal", labelLimit: 190 },
    legend: { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12, orient: "top", columns: isNarrow() ? 2 : 5 },
    title: { color: ink, anchor: "start", fontSize: 13, fontWeight: "normal" }, text: { color: ink },
  };
  const whole = { width: "container", height: isNarrow() ? 260 : 320, config,
                  autosize: { type: "fit-x", contains: "padding" }, ...spec };
  const figure = document.getElementById(id);
  return vegaEmbed(figure, whole, { actions: false, renderer: "canvas" })
    .then((embedded) => {
      embedded.view.addEventListener("click", (_, item) => {
        if (item && item.datum && item.datum.run !== undefined) location.hash = `run/${item.datum.run}`;
      });
      figure.dataset.drawn = "yes";
    });
}

const tone = (style) => style[dark.matches ? "dark" : "light"];

// The classes that occur among the rows, in the order of their scale.
function classes(scale, field, rows) {
  const there = new Set(rows.map((row) => row[field]));
  const styles = Object.entries(report.styles[scale]).filter(([name]) => there.has(name));
  const encode = (range) => ({ field, type: "nominal", legend: { title: null, symbolOpacity: 1 },
    scale: { domain: styles.map(([name]) => name), range: styles.map(([, style]) => range(style)) } });
  return { color: encode(tone), shape: encode((style) => style.shape) };
}

function bars(id, which, title, bound) {
  const values = report.rules.filter((rule) => rule[which].value !== null).map((rule) => ({
    rule: rule.name, setting: rule.setting, ours: rule.ours ? "grokpredict" : "other rules", value: rule[which].value,
    low: rule[which].low, high: rule[which].high }));
  const y = { field: "rule", type: "nominal", sort: null, title: null, axis: { labelLimit: 170, labelLineHeight: 12, labelFontSize: 11, labelExpr: "split(datum.label, ', ')" } };
  const x = { field: "value", type: "quantitative", title, axis: { format: ".0%", tickCount: isNarrow() ? 3 : 5 } };
  const ours = tone(report.styles.verdicts.continue);
  const layer = [
    { mark: { type: "bar", height: { band: 0.6 } },
      encoding: { x, color: { field: "ours", type: "nominal", legend: null,
        scale: { domain: ["grokpredict", "other rules"], range: [ours, dark.matches ? "#6b727a" : "#b9bfc5"] } } } },
    { mark: { type: "rule", strokeWidth: 1.5, color: dark.matches ? "#e6e8ea" : "#1c1f23" },
      encoding: { x: { field: "low", type: "quantitative" }, x2: { field: "high" } } },
  ];
  if (bound !== null) layer.push({ data: { values: [{ bound }] },
    mark: { type: "rule", strokeDash: [4, 3], color: tone(report.styles.verdicts.abort) },
    encoding: { x: { field: "bound", type: "quantitative" }, y: null } });
  return draw(id, { data: { values }, height: 30 * values.length, encoding: { y, tooltip: [
    { field: "rule" }, { field: "setting" }, { field: "value", format: ".1%" }, { field: "low", format: ".1%" },
    { field: "high", format: ".1%" }] }, layer });
}

function phaseDiagram(nameX, nameY, shaded) {
  const x = axisOf(nameX), y = axisOf(nameY), at = spread(x, y);
  const values = report.runs.flatMap((run, i) => at[i] === null ? [] : [{ run: i, name: run.name, phase: run.phase,
    verdict: run.verdict, P: run.probability, ...at[i], across: short(run.configuration[nameX]), up: short(run.configuration[nameY]) }]);
  const scale = { domain: [-0.07, 1.07], nice: false, zero: false };
  const labels = (axis) => Object.fromEntries(axis.ticks.map((tick) => [tick.at.toFixed(4), tick.label]));
  const encode = (axis, which) => ({ field: which, type: "quantitative", scale, title: axis.name,
    axis: { grid: false, values: axis.ticks.map((tick) => tick.at), labelExpr: `labels_${which}[format(datum.value, '.4f')]` } });
  const ink = dark.matches ? "#e6e8ea" : "#1c1f23";
  // The more runs, the smaller their marks, and on a narrow page too.
  const size = Math.min(Math.max((isNarrow() ? 8000 : 24000) / values.length, 14), 55);
  const layer = [
    { mark: { type: "point", filled: true, size, opacity: 1, cursor: "pointer" },
      encoding: classes("phases", "phase", values) },
    { transform: [{ filter: "datum.verdict === 'abort'" }],
      mark: { type: "point", filled: false, shape: "circle", size: 2.7 * size, strokeWidth: size < 30 ? 0.7 : 1.2,
              color: ink, cursor: "pointer" } },
  ];
  if (shaded) layer.unshift({ data: { values: cells(values) },
    mark: { type: "rect", tooltip: { content: "data" } }, encoding: {
      x: { field: "left", type: "quantitative", scale }, x2: { field: "right" }, y: { field: "bottom", type: "quantitative", scale }, y2: { field: "top" },
      opacity: { value: 0.6 }, tooltip: [{ field: "P", title: "mean P", format: ".2f" }, { field: "runs" }],
      fill: { field: "P", type: "quantitative", scale: { domain: [0, 1], range: dark.matches ? ["#15171a", "#d8dde2"] : ["#ffffff", "#30363d"] },
               legend: { title: "mean P", gradientLength: 90, tickCount: 2, orient: "bottom" } } } });
  return draw("phase", { height: 420, data: { values },
    params: [{ name: "labels_x", value: labels(x) }, { name: "labels_y", value: labels(y) }],
    encoding: { x: encode(x, "x"), y: encode(y, "y"), tooltip: [{ field: "name", title: "run" }, { field: "across", title: nameX },
      { field: "up", title: nameY }, { field: "phase" }, { field: "verdict" }, { field: "P", format: ".3f" }] },
    layer });
}

function cells(values, number = 12) {
  const sums = new Map();
  for (const { x, y, P } of values) {
    if (P === null) continue;
    const key = [x, y].map((place) => Math.min(Math.max(Math.floor(place * number), 0), number - 1)).join();
    const cell = sums.get(key) || { total: 0, runs: 0 };
    sums.set(key, { total: cell.total + P, runs: cell.runs + 1 });
  }
  return [...sums].map(([key, { total, runs }]) => {
    const [i, j] = key.split(",").map(Number);
    return { left: i / number, right: (i + 1) / number, bottom: j / number, top: (j + 1) / number, P: total / runs, runs };
  });
}

function samples(runs, channel) {
  return runs.flatMap((run) => run.curves[channel] ? run.curves[channel][0].map((step, k) => ({
    run: run.number, name: run.name, verdict: run.verdict, step: Math.max(step, 1), value: run.curves[channel][1][k] })) : []);
}

// Ticks of a logarithmic axis: powers of ten, with twice and five times those where there is room.
function logTicks(low, high) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const most = isNarrow() ? 5 : 8;
  const within = (factors, every) => {
    const ticks = [];
    for (let power = first; power <= last; power += every) for (const factor of factors) {
      const tick = Number(`${factor}e${power}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
    return ticks;
  };
  const even = [1, 2, 3, 5, 10].map((every) => within([1], every));
  const dense = [[1, 2, 5], [1, 3]].map((factors) => within(factors, 1));
  return [...dense, ...even].find((ticks) => ticks.length <= most) || even.at(-1);
}

function stepAxis(steps) {
  let low = Infinity, high = 1;
  for (const step of steps) { low = Math.min(low, step); high = Math.max(high, step); }
  return { field: "step", type: "quantitative", title: "optimiser step", scale: { type: "log", nice: false },
           axis: { values: logTicks(low, high), format: "~s", grid: false } };
}

function curves(id, runs, channel, title, extra = []) {
  const values = samples(runs, channel);
  if (!values.length) return empty(id, `No run has a ${title}.`);
  const isLoss = channel === "train_loss", positive = isLoss ? values.filter((row) => row.value > 0) : values;
  if (!positive.length) return empty(id, `No run has a ${title} above 0.`);
  const domain = isLoss ? robust(positive) : [-0.03, 1.03];
  const scale = isLoss ? { type: "log", domain } : { domain, nice: false };
  const axis = isLoss ? { values: logTicks(...domain), format: "~g" } : { tickCount: 5 };
  const x = stepAxis(positive.map((row) => row.step));
  const kinds = classes("verdicts", "verdict", positive);
  const opacity = Math.min(Math.max(8 / Math.sqrt(runs.length + 1), 0.15), 0.9);
  const y = { field: "value", type: "quantitative", title, scale, axis };
  return draw(id, { data: { values: positive }, layer: [
    { mark: { type: "line", clip: true, opacity, strokeWidth: runs.length > 1 ? 0.9 : 1.6, cursor: "pointer" },
      encoding: { x, y, detail: { field: "run" }, color: kinds.color } },
    { data: { values: ends(positive) }, mark: { type: "point", clip: true, filled: true, opacity: 0.9, cursor: "pointer",
        size: runs.length > 1 ? Math.min(Math.max(4000 / runs.length, 12), 30) : 60 }, encoding: { x, y, ...kinds, tooltip: [{ field: "name", title: "run" }, { field: "verdict" }] } },
    ...extra.map((marks) => marks(x))] });
}

// The last sample of each run, where a marker says its verdict once more.
function ends(rows) {
  return rows.filter((row, i) => i + 1 === rows.length || rows[i + 1].run !== row.run);
}

// One run that diverges must not flatten all others.
function robust(rows) {
  const sorted = rows.map((row) => row.value).sort((a, b) => a - b);
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  return [at(0.001) / 2, 5 * at(0.98)];
}

function probabilities(id, runs) {
  const values = runs.flatMap((run) => run.looks.filter((look) => look.probability !== null).map((look) => ({
    run: run.number, name: run.name, outcome: run.outcome, verdict: look.action, step: look.step, P: look.probability, logit: logit(clipped(look.probability)) })));
  if (!values.length) return empty(id, "No look was taken.");
  const limits = [...new Set(runs.flatMap((run) => run.looks.map((look) => look.threshold)).filter((limit) => limit !== null))];
  const y = { field: "logit", type: "quantitative", title: "P(generalises), logit scale", scale: { domain: [-7, 7], nice: false },
    axis: { values: [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999].map(logit), grid: true,
            labelExpr: "format(1 / (1 + exp(-datum.value)), '~r')" } };
  const x = stepAxis(values.map((row) => row.step));
  const opacity = Math.min(Math.max(8 / Math.sqrt(runs.length + 1), 0.2), 0.9);
  const outcomes = classes("outcomes", "outcome", values).color;
  // Of many runs only aborts are marked.
  const marked = runs.length > 1 ? values.filter((row) => row.verdict === "abort") : values;
  const layer = [
    { data: { values }, mark: { type: "line", opacity, strokeWidth: 0.9, cursor: "pointer" }, encoding: { x, y, detail: { field: "run" },
      color: outcomes } },
    { data: { values: marked },
      mark: { type: "point", filled: true, opacity: 0.9, size: runs.length > 1 ? 22 : 60, cursor: "pointer" }, encoding: { x, y,
        shape: { ...classes("verdicts", "verdict", values).shape, legend: null }, color: outcomes,
        tooltip: [{ field: "name", title: "run" }, { field: "step" }, { field: "P", format: ".3f" }, { field: "verdict" }, { field: "outcome" }] } },
    { data: { values: limits.map((limit) => ({ limit: logit(clipped(limit)), threshold: limit })) },
      mark: { type: "rule", strokeDash: [5, 3], color: tone(report.styles.verdicts.abort), strokeWidth: 1.3 },
      encoding: { y: { field: "limit", type: "quantitative" }, tooltip: [{ field: "threshold", format: ".4f" }] } }];
  // Vega warns of a layer without data.
  return draw(id, { layer: layer.filter((part) => part.data.values.length) });
}

function calibration(id, look) {
  const values = look.bins.map((bin) => ({ ...bin, label: String(bin.n) }));
  const side = { domain: [0, 1], nice: false };
  const x = { field: "predicted", type: "quantitative", title: "mean P", scale: side, axis: { grid: false, tickCount: 5 } };
  const y = { field: "observed", type: "quantitative", title: "share that generalised", scale: side, axis: { grid: false, tickCount: 5 } };
  return draw(id, { layer: [
    { data: { values: [{ a: 0, b: 0 }, { a: 1, b: 1 }] }, mark: { type: "line", strokeDash: [4, 3], strokeWidth: 1, color: "#8f8f8f" },
      encoding: { x: { field: "a", type: "quantitative" }, y: { field: "b", type: "quantitative" } } },
    { data: { values }, layer: [
      { mark: { type: "rule", strokeWidth: 1.3, color: "#8f8f8f" }, encoding: { x, y: { field: "low", type: "quantitative" }, y2: { field: "high" } } },
      { mark: { type: "point", filled: true, opacity: 1, size: 90, color: tone(report.styles.verdicts.continue) },
        encoding: { x, y, tooltip: [{ field: "n", title: "runs" }, { field: "predicted", format: ".3f" }, { field: "observed", format: ".3f" }] } },
      { mark: { type: "text", dx: 9, align: "left", fontSize: 12 }, encoding: { x, y, text: { field: "label" } } }] }] });
}

function empty(id, text) {
  const figure = document.getElementById(id);
  figure.replaceChildren();
  figure.append(text);
  figure.dataset.drawn = "yes";
  return Promise.resolve();
}
