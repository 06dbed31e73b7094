//! Tables for people: plain text in aligned columns.

use std::fmt;

use crate::failure::one_line;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table that grows row by row and prints itself with aligned columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column of words.
    #[must_use]
    pub fn words(self, header: &str) -> Self {
        self.column(header, Align::Left)
    }

    /// Adds a column of numbers.
    #[must_use]
    pub fn numbers(self, header: &str) -> Self {
        self.column(header, Align::Right)
    }

    fn column(mut self, header: &str, align: Align) -> Self {
        self.columns.push((header.to_owned(), align));
        self
    }

    /// Adds a row. Missing cells are empty; cells beyond the last column are dropped.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let mut row: Vec<_> = cells.into_iter().map(|cell| one_line(&cell.into())).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// The headers with their alignment.
    #[must_use]
    pub fn columns(&self) -> &[(String, Align)] {
        &self.columns
    }

    /// The rows, each with one cell a column.
    #[must_use]
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |c: usize| {
            let cells = self.rows.iter().map(|row| row[c].chars().count());
            cells.chain([self.columns[c].0.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for ((cell, (_, align)), &width) in cells.zip(&self.columns).zip(&widths) {
                if !text.is_empty() || width == 0 {
                    text.push_str("  ");
                }
                match align {
                    Align::Left => text.push_str(&format!("{cell:<width$}")),
                    Align::Right => text.push_str(&format!("{cell:>width$}")),
                }
            }
            writeln!(f, "{}", text.trim_end())
        };
        line(&mut self.columns.iter().map(|(header, _)| header.as_str()))?;
        let rules: Vec<_> = widths.iter().map(|&width| "─".repeat(width)).collect();
        line(&mut rules.iter().map(String::as_str))?;
        for row in &self.rows {
            line(&mut row.iter().map(String::as_str))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_blanks() {
        let mut table = Table::new().words("name").numbers("error").words("");
        table.row(["H·v", "1.0e-15", "pass"]);
        table.row(["gradient", "2"]);
        let text = table.to_string();
        let want = "\
name        error
────────  ───────  ────
H·v       1.0e-15  pass
gradient        2
";
        assert_eq!(text, want);
    }

    #[test]
    fn a_cell_cannot_break_the_table() {
        let mut table = Table::new().words("name");
        table.row(["a\nb\u{1b}[2J"]);
        assert_eq!(table.to_string().lines().count(), 3);
        assert!(!table.to_string().contains('\u{1b}'));
    }
}
