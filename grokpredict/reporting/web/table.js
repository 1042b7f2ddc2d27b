// The table of runs: sorted by a click on a heading, filtered by what is typed.

const ROWS = 50;
const listing = { sorted: null, descending: false, all: false };

function tableColumns() {
  const columns = [
    { title: "run", of: (run) => run.name },
    { title: "outcome", of: (run) => run.outcome },
    { title: "phase", of: (run) => run.phase },
    { title: "verdict", of: (run) => run.verdict },
    { title: "P", of: (run) => run.probability, number: true },
    { title: "stopped after", of: (run) => run.stopped, number: true },
    { title: "generalised at", of: (run) => run.times[3], number: true },
    { title: "budget", of: (run) => run.budget, number: true },
  ];
  for (const name of Object.keys(report.axes).slice(0, 5)) columns.push(
    { title: name, of: (run) => run.configuration[name] ?? null, number: report.axes[name].scale !== "category" });
  return columns;
}

// The folder that all names begin with says nothing of a run.
function shared() {
  let prefix = report.runs[0]?.name ?? "";
  for (const run of report.runs) while (!run.name.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix.slice(0, prefix.lastIndexOf("/") + 1);
}

function fillTable() {
  listing.prefix ??= shared();
  const columns = tableColumns();
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = report.runs.filter((run) => {
    const text = columns.map((column) => short(column.of(run))).join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  if (listing.sorted !== null) rows.sort(order(columns[listing.sorted]));
  const shown = listing.all ? rows : rows.slice(0, ROWS);
  document.querySelector("#table thead").replaceChildren(headings(columns));
  document.querySelector("#table tbody").replaceChildren(...shown.map((run) => tableRow(columns, run)));
  document.getElementById("count").textContent = `${rows.length} of ${report.runs.length} runs`;
  document.getElementById("show-all").hidden = shown.length === rows.length;
}

// Runs without a value come last, whichever way the others are sorted.
function order(column) {
  const sign = listing.descending ? -1 : 1;
  return (one, other) => {
    const a = column.of(one), b = column.of(other);
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (column.number ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
  };
}

function headings(columns) {
  const row = document.createElement("tr");
  columns.forEach((column, i) => {
    const cell = document.createElement("th"), button = document.createElement("button");
    cell.className = column.number ? "number" : "";
    cell.scope = "col";
    if (listing.sorted === i) cell.ariaSort = listing.descending ? "descending" : "ascending";
    button.type = "button";
    button.textContent = column.title;
    button.addEventListener("click", () => {
      listing.descending = listing.sorted === i && !listing.descending;
      listing.sorted = i;
      fillTable();
      document.querySelectorAll("#table th button")[i].focus();
    });
    cell.append(button);
    row.append(cell);
  });
  return row;
}

function tableRow(columns, run) {
  const row = document.createElement("tr");
  columns.forEach((column, i) => {
    const cell = row.insertCell();
    if (i === 0) {
      const link = document.createElement("a");
      link.href = `#run/${run.number}`;
      link.textContent = run.name.slice(listing.prefix.length);
      link.title = run.name;
      cell.className = "name";
      cell.append(link);
      return;
    }
    cell.textContent = short(column.of(run));
    cell.className = column.title === "verdict" ? `verdict ${run.verdict}` : column.number ? "number" : "";
  });
  return row;
}
