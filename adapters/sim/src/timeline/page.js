const byIndex = new Map(LINES.map(line => [line.i, line]));
const rows = new Map([...document.querySelectorAll(".row")].map(row => [Number(row.dataset.i), row]));
const tip = document.getElementById("tip");
let kept = null;

function chain(index) {
  const found = [];
  for (let line = byIndex.get(index); line && found.length < 200; line = byIndex.get(line.cause)) found.push(line);
  return found;
}

function highlight() {
  rows.forEach(row => row.classList.remove("chain", "kept"));
  if (kept === null) return;
  chain(kept).forEach(line => rows.get(line.i)?.classList.add("chain"));
  rows.get(kept)?.classList.add("kept");
}

function describe(index) {
  const line = byIndex.get(index);
  const causes = chain(index).slice(1, 13);
  const node = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  tip.replaceChildren(
    node("b", line.at + ": " + line.text), document.createElement("br"),
    node("small", "entry " + line.i + ", event " + line.e + ", " + line.t.toFixed(6) + " s, hash " + line.h));
  if (causes.length) {
    const list = document.createElement("ol");
    causes.forEach(cause => list.append(node("li", "because " + cause.at + ": " + cause.text + " (" + cause.i + ")")));
    tip.append(list);
  }
}

document.addEventListener("mousemove", event => {
  const row = event.target.closest?.(".row");
  tip.hidden = !row;
  if (!row) return;
  describe(Number(row.dataset.i));
  const room = 14;
  const left = Math.min(event.clientX + room, innerWidth - tip.offsetWidth - room);
  const below = event.clientY + room + tip.offsetHeight < innerHeight;
  tip.style.left = Math.max(0, left) + "px";
  tip.style.top = (below ? event.clientY + room : event.clientY - room - tip.offsetHeight) + "px";
});

document.addEventListener("click", event => {
  const row = event.target.closest?.(".row");
  if (!row) return;
  const index = Number(row.dataset.i);
  kept = kept === index ? null : index;
  highlight();
});

const drawings = [...document.querySelectorAll("svg.head, svg.body")];
const natural = Number(drawings[0].getAttribute("width"));
let scale = 1;
function zoom(factor) {
  scale = factor === 0 ? 1 : Math.min(6, Math.max(0.2, scale * factor));
  drawings.forEach(drawing => drawing.setAttribute("width", natural * scale));
}
document.querySelectorAll("[data-zoom]").forEach(button =>
  button.addEventListener("click", () => zoom(Number(button.dataset.zoom))));
document.addEventListener("wheel", event => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.1 : 1 / 1.1);
}, { passive: false });

const flows = [...new Set(LINES.map(line => line.flow).filter(flow => flow !== null))].sort((a, b) => a - b);
const select = document.getElementById("flow");
flows.forEach(flow => select.append(new Option(flow, flow)));
select.addEventListener("change", () => {
  const wanted = select.value === "" ? null : Number(select.value);
  const near = new Set();
  LINES.forEach(line => {
    const cause = byIndex.get(line.cause);
    if (line.flow === wanted && cause?.id) near.add(cause.id);
    if (cause && cause.flow === wanted && line.id) near.add(line.id);
  });
  const shown = line => wanted === null || line.flow === wanted || near.has(line.id) || line.at === "world";
  rows.forEach((row, index) => row.classList.toggle("faded", !shown(byIndex.get(index))));
  document.querySelectorAll(".call").forEach(call =>
    call.classList.toggle("faded", wanted !== null && !near.has(call.dataset.id)));
});
