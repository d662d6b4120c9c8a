//! Text and shapes of SVG drawings.

use std::fmt::Write;

use crate::timeline::colour;

/// Letters of a label at most; the whole text is in the details.
pub(super) const LABEL: usize = 36;

/// A red cross: here something was lost.
pub(super) fn cross(shapes: &mut String, x: f64, y: f64) {
    let _ = write!(
        shapes,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"10\" fill=\"#fff\" stroke=\"{0}\" stroke-width=\"1.5\"/>\
         <path d=\"M{1:.1} {2:.1}l10 10m0 -10l-10 10\" stroke=\"{0}\" stroke-width=\"3\" stroke-linecap=\"round\"/>",
        colour::LOST,
        x - 5.0,
        y - 5.0,
    );
}

/// Text that begins here.
pub(super) fn text(shapes: &mut String, at: (f64, f64), class: &str, said: &str) {
    write_text(shapes, at, class, ("start", ""), said);
}

/// Text around here.
pub(super) fn centred(shapes: &mut String, at: (f64, f64), class: &str, said: &str) {
    write_text(shapes, at, class, ("middle", ""), said);
}

/// Text that ends here.
pub(super) fn ended(shapes: &mut String, at: (f64, f64), class: &str, said: &str) {
    write_text(shapes, at, class, ("end", ""), said);
}

/// Text of a colour that begins here.
pub(super) fn coloured(shapes: &mut String, at: (f64, f64), class: &str, ink: &str, said: &str) {
    write_text(shapes, at, class, ("start", ink), said);
}

/// Text of a colour that ends here.
pub(super) fn before(shapes: &mut String, at: (f64, f64), class: &str, ink: &str, said: &str) {
    write_text(shapes, at, class, ("end", ink), said);
}

/// Text of a colour around here.
pub(super) fn above(shapes: &mut String, at: (f64, f64), class: &str, ink: &str, said: &str) {
    write_text(shapes, at, class, ("middle", ink), said);
}

fn write_text(shapes: &mut String, (x, y): (f64, f64), class: &str, (anchor, ink): (&str, &str), said: &str) {
    let said = escaped(said);
    let _ = write!(shapes, "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\"");
    let style = if ink.is_empty() { String::new() } else { format!(" style=\"fill:{ink}\"") };
    let _ = write!(shapes, "{style}>{said}</text>");
}

/// A note of a client, on the side of its application.
pub(super) fn left(shapes: &mut String, (x, y): (f64, f64), class: &str, ink: &str, said: &str) {
    before(shapes, (x - 8.0, y + 1.0), class, ink, &cut(said, LABEL));
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
