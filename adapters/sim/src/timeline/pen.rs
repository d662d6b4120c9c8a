//! Text and shapes of SVG drawings.

use crate::timeline::colour;

/// Letters of a label at most; the whole text is in the details.
pub(super) const LABEL: usize = 36;

/// The part of a text that is at its place.
pub(super) const START: &str = "start";
pub(super) const MIDDLE: &str = "middle";
pub(super) const END: &str = "end";

/// A rectangle from its upper left corner on; `looks` are its other attributes.
pub(super) fn rect(shapes: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), looks: &str) {
    *shapes += &format!(r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" {looks}/>"#);
}

/// A line from a point to another; `looks` are its other attributes.
pub(super) fn line(shapes: &mut String, from: (f64, f64), to: (f64, f64), looks: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    *shapes += &format!(r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {looks}/>"#);
}

/// A circle around here; `looks` are its other attributes.
pub(super) fn circle(shapes: &mut String, (x, y): (f64, f64), radius: f64, looks: &str) {
    *shapes += &format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" {looks}/>"#);
}

/// A red cross: here something was lost.
pub(super) fn cross(shapes: &mut String, (x, y): (f64, f64)) {
    let (left, top, ink) = (x - 5.0, y - 5.0, colour::LOST);
    circle(shapes, (x, y), 10.0, &format!(r##"fill="#fff" stroke="{ink}" stroke-width="1.5""##));
    *shapes += &format!(
        r#"<path d="M{left:.1} {top:.1}l10 10m0 -10l-10 10" stroke="{ink}" stroke-width="3" stroke-linecap="round"/>"#
    );
}

/// Text of a class and a colour, if it has one of its own; `anchor` is the part of it that is here.
pub(super) fn text(
    shapes: &mut String,
    (x, y): (f64, f64),
    anchor: &str,
    (class, ink): (&str, &str),
    said: &str,
) {
    let style = if ink.is_empty() { String::new() } else { format!(r#" style="fill:{ink}""#) };
    let said = escaped(said);
    *shapes += &format!(
        r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}"{style}>{said}</text>"#
    );
}

/// The first part of a text of several.
pub(super) fn brief(text: &str) -> &str {
    text.split_once(';').map_or(text, |(first, _)| first)
}

/// The first `most` letters of a text.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('\u{2026}');
    cut
}

/// A text in lines of about `most` letters.
pub(super) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + word.chars().count() >= most {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Text inside XML and HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_labels_are_cut_and_long_titles_are_wrapped() {
        assert_eq!(cut("abcdef", 4), "abc\u{2026}");
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
    }
}
