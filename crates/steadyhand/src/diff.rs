//! A unified diff of two texts, for the person who decides. Bounded: past the bounds there is none.

/// Most lines of either text.
const LINES_MAX: usize = 20_000;
/// Most cells of the comparison's table, after common beginnings and ends are cut off.
const CELLS_MAX: usize = 4_000_000;
/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;

/// One line of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'t> {
    Same(&'t str),
    Gone(&'t str),
    New(&'t str),
}

/// The unified diff from `old` to `new` without file names; empty if they are equal, `None` if they are
/// too large to compare.
pub(crate) fn unified(old: &str, new: &str) -> Option<String> {
    let (a, b): (Vec<&str>, Vec<&str>) =
        (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    if a.len().max(b.len()) > LINES_MAX {
        return None;
    }
    let lines = compare(&a, &b)?;
    let mut text = String::new();
    for (first, last) in hunks(&lines) {
        hunk(&lines, first, last, &mut text);
    }
    Some(text)
}

/// The shortest edit by longest common subsequence (Hunt & Szymanski's problem, by the plain table).
fn compare<'t>(a: &[&'t str], b: &[&'t str]) -> Option<Vec<Line<'t>>> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (middle_a, middle_b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let (rows, columns) = (middle_a.len() + 1, middle_b.len() + 1);
    if rows.checked_mul(columns)? > CELLS_MAX {
        return None;
    }
    // Cell (i, j): the length of what middle_a[i..] and middle_b[j..] have in common.
    let mut common = vec![0_u32; rows * columns];
    for i in (0..middle_a.len()).rev() {
        for j in (0..middle_b.len()).rev() {
            common[i * columns + j] = if middle_a[i] == middle_b[j] {
                common[(i + 1) * columns + j + 1] + 1
            } else {
                common[(i + 1) * columns + j].max(common[i * columns + j + 1])
            };
        }
    }
    let mut lines: Vec<Line<'t>> = a[..head].iter().map(|l| Line::Same(l)).collect();
    let (mut i, mut j) = (0, 0);
    while i < middle_a.len() || j < middle_b.len() {
        if i < middle_a.len() && j < middle_b.len() && middle_a[i] == middle_b[j] {
            lines.push(Line::Same(middle_a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == middle_b.len()
            || (i < middle_a.len() && common[(i + 1) * columns + j] >= common[i * columns + j + 1])
        {
            lines.push(Line::Gone(middle_a[i]));
            i += 1;
        } else {
            lines.push(Line::New(middle_b[j]));
            j += 1;
        }
    }
    lines.extend(a[a.len() - tail..].iter().map(|l| Line::Same(l)));
    Some(lines)
}

/// Runs of lines around changes, as ranges of indices.
fn hunks(lines: &[Line<'_>]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        if matches!(line, Line::Same(_)) {
            continue;
        }
        let (first, last) = (i.saturating_sub(CONTEXT), (i + CONTEXT + 1).min(lines.len()));
        match hunks.last_mut() {
            Some(before) if before.1 >= first => before.1 = last,
            _ => hunks.push((first, last)),
        }
    }
    hunks
}

fn hunk(lines: &[Line<'_>], first: usize, last: usize, text: &mut String) {
    let old = |part: &[Line<'_>]| part.iter().filter(|l| !matches!(l, Line::New(_))).count();
    let new = |part: &[Line<'_>]| part.iter().filter(|l| !matches!(l, Line::Gone(_))).count();
    let (before, here) = (&lines[..first], &lines[first..last]);
    let range = |before: usize, count: usize| match count {
        0 => format!("{before},0"),
        count => format!("{},{count}", before + 1),
    };
    text.push_str(&format!("@@ -{} +{} @@\n", range(old(before), old(here)), range(new(before), new(here))));
    for line in here {
        let (sign, content) = match line {
            Line::Same(content) => (' ', content),
            Line::Gone(content) => ('-', content),
            Line::New(content) => ('+', content),
        };
        text.push(sign);
        text.push_str(content);
        if !content.ends_with('\n') {
            text.push_str("\n\\ no line end at the end of the file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn changes_come_with_three_lines_around() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
        let shown = "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n";
        assert_eq!(unified(old, new).unwrap(), shown);
    }

    #[test]
    fn edges_are_as_the_format_has_them() {
        assert_eq!(unified("a\n", "a\n").unwrap(), "");
        assert_eq!(unified("", "a\n").unwrap(), "@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified("a\n", "").unwrap(), "@@ -1,1 +0,0 @@\n-a\n");
        let ends = "@@ -1,1 +1,1 @@\n-a\n\\ no line end at the end of the file\n+a\n";
        assert_eq!(unified("a", "a\n").unwrap(), ends);
    }

    #[test]
    fn too_large_texts_have_no_diff() {
        let lines = |n: usize, c: &str| (0..n).map(|i| format!("{c}{i}\n")).collect::<String>();
        assert!(unified(&lines(1_999, "a"), &lines(1_999, "b")).is_some());
        assert!(unified(&lines(2_000, "a"), &lines(2_000, "b")).is_none());
        assert!(unified("", &lines(LINES_MAX + 1, "a")).is_none());
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_off_the_comparison(a in "[abc\n]{0,40}", b in "[abc\n]{0,40}") {
            let lines_a: Vec<&str> = a.split_inclusive('\n').collect();
            let lines_b: Vec<&str> = b.split_inclusive('\n').collect();
            let lines = compare(&lines_a, &lines_b).unwrap();
            let old: String = lines.iter().filter_map(|l| match l {
                Line::Same(t) | Line::Gone(t) => Some(*t),
                Line::New(_) => None,
            }).collect();
            let new: String = lines.iter().filter_map(|l| match l {
                Line::Same(t) | Line::New(t) => Some(*t),
                Line::Gone(_) => None,
            }).collect();
            prop_assert_eq!((old, new), (a, b));
        }
    }
}
