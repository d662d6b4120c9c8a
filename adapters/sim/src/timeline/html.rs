//! The swim lanes as one HTML file: zoom, details under the pointer, the chain of causes.

use serde_json::json;

use crate::timeline::Timeline;
use crate::timeline::pen::escaped;
use crate::timeline::svg::{Drawing, HEAD, STYLE};

/// The timeline as one HTML file, without anything from elsewhere.
pub fn html(timeline: &Timeline<'_>) -> String {
    let drawing = Drawing::new(timeline);
    let (title, legend) = (drawing.title(), drawing.legend());
    let top = title.height + legend.height;
    let (width, height) = (drawing.layout.width, drawing.layout.height);
    let lines: Vec<_> = timeline
        .lines
        .iter()
        .map(|line| {
            json!({
                "i": line.i, "e": line.e, "t": line.t.as_secs_f64(), "at": line.at, "ev": line.ev,
                "text": line.text, "cause": line.cause, "id": line.id, "flow": line.flow,
                "h": format!("{:016x}", line.h),
            })
        })
        .collect();
    // Inside a script only this could end it.
    let lines = serde_json::to_string(&lines).expect("lines are JSON").replace("</", "<\\/");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n<title>{}</title>\n\
         <style>{STYLE}{PAGE_STYLE}</style>\n\
         <svg class=\"top\" width=\"{width:.0}\" height=\"{top:.0}\">{}<g transform=\"translate(0 {})\">{}</g></svg>\n\
         <nav><button data-zoom=\"0.8\" title=\"smaller\">\u{2212}</button>\
         <button data-zoom=\"1.25\" title=\"larger\">+</button><button data-zoom=\"0\">1:1</button>\
         <label>flow <select id=\"flow\"><option value=\"\">all</option></select></label>\
         <span>Point at a row for details; click to keep its chain of causes; Ctrl and wheel zoom.</span></nav>\n\
         <main><svg class=\"head\" viewBox=\"0 0 {width:.0} {HEAD}\" width=\"{width:.0}\">{}</svg>\n\
         <svg class=\"body\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\">{}</svg></main>\n\
         <aside id=\"tip\" hidden></aside>\n<script>\"use strict\";\nconst LINES={lines};\n{SCRIPT}</script></html>\n",
        escaped(&timeline.title()),
        title.shapes,
        title.height,
        legend.shapes,
        drawing.head(),
        drawing.body(),
    )
}

const PAGE_STYLE: &str = "\
body{margin:0;background:#fff;font:13px ui-sans-serif,system-ui,sans-serif;color:#1e293b}\
svg{display:block}.head{position:sticky;top:37px;z-index:2}\
nav{position:sticky;top:0;left:0;z-index:3;display:flex;gap:8px;align-items:center;height:25px;padding:6px 18px;\
background:#fff;width:max-content;min-width:calc(100vw - 60px)}\
nav button{min-width:30px;height:25px;border:1px solid #cbd5e1;border-radius:5px;background:#f8fafc;cursor:pointer}\
nav span{color:#64748b}.row{cursor:pointer}.row:hover .hit{fill:#3b82f61a}.row.chain .hit{fill:#f59e0b2e}\
.row.kept .hit{fill:#f59e0b66}.faded{opacity:.13}\
#tip{position:fixed;z-index:4;max-width:560px;padding:9px 12px;border-radius:7px;background:#0f172af2;color:#f1f5f9;\
pointer-events:none;line-height:1.45}#tip b{color:#fff}#tip small{color:#94a3b8}#tip li{color:#cbd5e1}\
#tip ol{margin:5px 0 0;padding-left:18px}";

const SCRIPT: &str = r#"
const byIndex = new Map(LINES.map(line => [line.i, line]));
const rows = new Map([...document.querySelectorAll(".row")].map(row => [Number(row.dataset.i), row]));
const tip = document.getElementById("tip");
let kept = null;

function chain(index) {
  const found = [];
  for (let line = byIndex.get(index); line && found.length < 200; line = byIndex.get(line.cause)) found.push(line);
  return found;
}

function mark() {
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
  mark();
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
"#;
