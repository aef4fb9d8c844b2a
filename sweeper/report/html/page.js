// Charts. They are drawn when they come near the screen, so that a long page opens at once.
function draw(plot) {
  const { data, layout } = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
  const narrow = innerWidth <= 600;
  if (layout.height) plot.style.minHeight = `${layout.height}px`;
  if (narrow) Object.assign(layout, { font: { ...layout.font, size: 11 } });
  Plotly.newPlot(plot, data, layout, {
    responsive: true, displaylogo: false, displayModeBar: narrow ? false : "hover",
    modeBarButtons: [["toImage", "resetScale2d"]],
  });
}

const nearby = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    nearby.unobserve(target);
    setTimeout(draw, 0, target); // apart: if one fails, the others are drawn
  }
}, { rootMargin: "1000px" });

for (const plot of document.querySelectorAll(".plot")) nearby.observe(plot);
addEventListener("beforeprint", () => {
  for (const plot of document.querySelectorAll(".plot:empty")) draw(plot);
});

// Tables of many rows: one page of them at a time.
const PAGE = 50;

function decoded({ f4, f8 }) {
  const bytes = Uint8Array.from(atob(f4 ?? f8), (character) => character.charCodeAt(0));
  return f4 !== undefined ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
}

// As `number` in sweeper/report/words.py: four significant digits, a dash for what is missing.
function shown(value) {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const size = Math.abs(value);
  if (size >= 1e3 && size < 1e9) return Math.round(value).toLocaleString("en");
  return value !== 0 && (size < 1e-3 || size >= 1e9)
    ? Number(value.toPrecision(4)).toExponential() : String(Number(value.toPrecision(4)));
}

// `key` sorts the rows of a column, `text` is what a cell shows.
function readColumn(column) {
  if (column.values) {
    const { values, index } = column;
    return { ...column, key: (row) => index[row], text: (row) => values[index[row]] };
  }
  const numbers = decoded(column);
  return { ...column, numeric: true, key: (row) => numbers[row], text: (row) => shown(numbers[row]) };
}

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function startTable(box) {
  const find = (selector) => box.querySelector(selector);
  const source = JSON.parse(document.getElementById(box.dataset.table).textContent);
  const columns = source.columns.map(readColumn);
  const state = { order: [...Array(source.rows).keys()], rows: [], first: 0, all: false, sorted: null, down: false };
  const visible = () => columns.filter((column) => state.all || !column.more);
  let searched = null; // the text of each row, made at the first filter

  function filter() {
    const words = find("input[type=search]").value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) {
      searched ??= state.order.map((_, row) =>
        visible().map((column) => column.text(row)).join("\n").toLowerCase());
    }
    state.rows = words.length
      ? state.order.filter((row) => words.every((word) => searched[row].includes(word))) : state.order;
    state.first = 0;
    drawRows();
  }

  function sort(column) {
    state.down = state.sorted === column && !state.down;
    state.sorted = column;
    const sign = state.down ? -1 : 1, missing = (row) => Number.isNaN(column.key(row));
    state.order.sort((a, b) => missing(a) - missing(b) || sign * (column.key(a) - column.key(b)) || a - b);
    for (const [i, each] of visible().entries()) {
      find("thead tr").cells[i].setAttribute(
        "aria-sort", each !== column ? "none" : state.down ? "descending" : "ascending");
    }
    filter();
  }

  function drawHead() {
    const row = element("tr");
    for (const column of visible()) {
      const head = element("th", "", { scope: "col", class: column.numeric ? "num" : "" });
      if (column.name) head.title = column.name;
      if (source.sortable) {
        const button = element("button", column.title, { type: "button" });
        button.addEventListener("click", () => sort(column));
        head.setAttribute("aria-sort", state.sorted !== column ? "none" : state.down ? "descending" : "ascending");
        head.append(button);
      } else {
        head.textContent = column.title;
      }
      row.append(head);
    }
    find("thead").replaceChildren(row);
  }

  function drawRows() {
    const last = Math.min(state.first + PAGE, state.rows.length);
    find("tbody").replaceChildren(...state.rows.slice(state.first, last).map((at) => {
      const row = element("tr");
      for (const column of visible()) {
        row.append(element("td", column.text(at), column.numeric ? { class: "num" } : {}));
      }
      return row;
    }));
    const count = (n) => n.toLocaleString("en");
    find(".shown").textContent = !state.rows.length ? "no row matches"
      : `${count(state.first + 1)} to ${count(last)} of ${count(state.rows.length)}`
        + (state.rows.length < source.rows ? ` (${count(source.rows)} in all)` : "");
    find(".pages").hidden = state.rows.length <= PAGE;
    find(".previous").disabled = state.first === 0;
    find(".next").disabled = last === state.rows.length;
  }

  function turn(step) {
    state.first += step * PAGE;
    drawRows();
    find(".scroll").scrollTop = 0;
  }

  find("input[type=search]").addEventListener("input", filter);
  find(".previous").addEventListener("click", () => turn(-1));
  find(".next").addEventListener("click", () => turn(1));
  find(".all").hidden = columns.every((column) => !column.more);
  find(".all input").addEventListener("change", (event) => {
    state.all = event.target.checked;
    searched = null;
    drawHead();
    filter();
  });
  drawHead();
  filter();
}

document.querySelectorAll("[data-table]").forEach(startTable);
