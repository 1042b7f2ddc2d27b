// The page of one run: its curves, its looks with their reasons, its diagnosis, its configuration.

function showRun(run) {
  document.getElementById("run-name").textContent = run.name;
  const verdict = document.getElementById("run-verdict");
  verdict.textContent = `${run.verdict}: ${run.reason}`;
  verdict.className = `verdict ${run.verdict}`;
  const lines = [{ step: run.budget, what: "budget" }];
  if (run.times[3] !== null) lines.push({ step: run.times[3], what: "generalised" });
  if (run.stopped !== null) lines.push({ step: run.stopped, what: "stopped" });
  const marks = (x) => ({ data: { values: lines }, layer: [
    { mark: { type: "rule", strokeDash: [4, 3], color: "#8f8f8f" }, encoding: { x } },
    { mark: { type: "text", angle: 270, align: "right", baseline: "bottom", dx: -4, dy: -3, fontSize: 11 },
      encoding: { x, y: { value: 0 }, text: { field: "what" } } }] });
  curves("run-loss", [run], "train_loss", "training loss", [marks]);
  curves("run-accuracy", [run], "val_acc", "validation accuracy", [marks]);
  probabilities("run-probability", [run]);
  fillLooks(run);
  document.getElementById("run-diagnosis").replaceChildren(...run.diagnosis.map((sentence) => paragraph(sentence)));
  const details = { outcome: run.outcome, phase: run.phase, budget: `${run.budget} steps, ${run.budget_source}`, "last step": run.last_step,
                    ...run.configuration };
  const list = document.getElementById("run-configuration");
  list.replaceChildren();
  for (const [name, value] of Object.entries(details)) {
    list.append(element("dt", name), element("dd", value === null ? "-" : String(value)));
  }
  for (const note of run.notes) list.append(element("dt", "note"), element("dd", note));
}

function fillLooks(run) {
  const table = document.getElementById("run-looks");
  table.replaceChildren();
  const heading = table.createTHead().insertRow();
  for (const title of ["steps", "P", "threshold", "verdict", "reason"]) heading.append(element("th", title));
  const body = table.createTBody();
  for (const look of run.looks) {
    const row = body.insertRow();
    for (const cell of [short(look.step), short(look.probability), short(look.threshold)]) row.insertCell().textContent = cell;
    const verdict = row.insertCell(), reason = row.insertCell();
    verdict.textContent = look.action;
    verdict.className = `verdict ${look.action}`;
    reason.textContent = look.reason;
    reason.className = "reason";
  }
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

const paragraph = (text) => element("p", text);
