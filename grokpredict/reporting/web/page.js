// Unpacks the data, writes the text, and draws each figure when it first comes into view.

let report;

const figures = {
  rules: () => Promise.all([
    bars("lost", "lost", "share of good runs lost", report.max_false_abort),
    bars("saved", "saved", "share of doomed steps saved", null)]),
  phases: () => phaseDiagram(chosen("axis-x"), chosen("axis-y"), document.getElementById("layer-p").checked),
  curves: () => Promise.all([
    curves("loss", report.runs, "train_loss", "training loss"),
    curves("accuracy", report.runs, "val_acc", "validation accuracy")]),
  chances: () => probabilities("probability", report.runs),
  calibrated: () => calibration("calibration", report.calibration[document.getElementById("look").selectedIndex]),
};
const drawn = new Set();

const chosen = (id) => document.getElementById(id).value;

function writeText() {
  // A line does not end between a number and its unit.
  document.getElementById("conclusion").textContent = report.conclusion[0].replaceAll(" %", "\u00a0%");
  document.getElementById("more").append(...report.conclusion.slice(1).map((text) => element("li", text)));
  document.getElementById("made").textContent = report.made;
  document.getElementById("rules-note").textContent = report.rules_note;
  document.getElementById("left-out").append(...report.left_out.map((text) => element("li", text)));
  hideEmpty("rules", report.rules.length);
  hideEmpty("phases", Object.keys(report.axes).length);
  hideEmpty("calibrated", report.calibration.length);
  hideEmpty("absent", report.left_out.length);
}

function hideEmpty(id, number) {
  document.getElementById(id).hidden = !number;
  if (!number) delete figures[id];
}

function fillChoices() {
  const names = Object.keys(report.axes);
  for (const [id, chosenOne] of [["axis-x", 0], ["axis-y", Math.min(1, names.length - 1)]]) {
    const select = document.getElementById(id);
    select.append(...names.map((name) => new Option(name, name)));
    select.selectedIndex = chosenOne;
    select.addEventListener("change", figures.phases);
  }
  document.getElementById("layer-p").addEventListener("change", figures.phases);
  const looks = document.getElementById("look");
  looks.append(...report.calibration.map((look) => new Option(look.step)));
  looks.selectedIndex = Math.floor(report.calibration.length / 2);
  looks.addEventListener("change", figures.calibrated);
  document.getElementById("filter").addEventListener("input", fillTable);
  document.getElementById("show-all").addEventListener("click", () => { listing.all = true; fillTable(); });
}

function watchFigures() {
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || drawn.has(target.id) || !figures[target.id]) continue;
      drawn.add(target.id);
      figures[target.id]();
    }
  }, { rootMargin: "200px" });
  for (const id of Object.keys(figures)) watcher.observe(document.getElementById(id));
  dark.addEventListener("change", () => { for (const id of drawn) figures[id](); route(); });
}

function route() {
  const match = /^#run\/(\d+)$/.exec(location.hash), run = match && report.runs[Number(match[1])];
  document.getElementById("run").hidden = !run;
  document.getElementById("report").hidden = Boolean(run);
  if (run) {
    showRun(run);
    window.scrollTo(0, 0);
  } else if (location.hash) {
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }
}

async function unpacked() {
  const packed = Uint8Array.from(atob(document.getElementById("data").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

unpacked().then((document_) => {
  report = document_;
  report.runs.forEach((run, number) => { run.number = number; });
  writeText();
  fillChoices();
  fillTable();
  watchFigures();
  window.addEventListener("hashchange", route);
  route();
  document.body.dataset.ready = "yes";
});
