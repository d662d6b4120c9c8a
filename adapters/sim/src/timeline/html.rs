//! The timeline as one HTML file, with zoom, details and the chain of causes.

use serde_json::json;

use crate::timeline::Timeline;
use crate::timeline::pen::escaped;
use crate::timeline::svg::{Drawing, HEAD, STYLE};

/// The timeline as one HTML file, without anything from elsewhere.
pub fn html(timeline: &Timeline<'_>) -> String {
    let drawing = Drawing::new(timeline);
    let (shapes, top) = drawing.top();
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
         <svg class=\"top\" width=\"{width:.0}\" height=\"{top:.0}\">{shapes}</svg>\n\
         <nav><button data-zoom=\"0.8\" title=\"smaller\">\u{2212}</button>\
         <button data-zoom=\"1.25\" title=\"larger\">+</button><button data-zoom=\"0\">1:1</button>\
         <label>flow <select id=\"flow\"><option value=\"\">all</option></select></label>\
         <span>Point at a row for details; click to keep its chain of causes; Ctrl and wheel zoom.</span></nav>\n\
         <main><svg class=\"head\" viewBox=\"0 0 {width:.0} {HEAD}\" width=\"{width:.0}\">{}</svg>\n\
         <svg class=\"body\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\">{}</svg></main>\n\
         <aside id=\"tip\" hidden></aside>\n<script>\"use strict\";\nconst LINES={lines};\n{SCRIPT}</script></html>\n",
        escaped(&timeline.title()),
        drawing.head(),
        drawing.body(),
    )
}

const PAGE_STYLE: &str = include_str!("page.css");

const SCRIPT: &str = include_str!("page.js");
