//! The report of `hesse reproduce`: one page that needs no network, with what the paper says, what
//! came out, whether it holds, and the figures.

use std::path::PathBuf;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

use crate::failure::Failure;
use crate::figure::Figure;
use crate::output::{Folder, to_json};
use crate::table::Table;

/// One headline result.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// What is claimed, in a sentence.
    pub what: String,
    /// The paper's figure.
    pub paper: String,
    /// Ours.
    pub ours: String,
    /// When it holds. Empty for a figure that is reported without a bar.
    pub bar: String,
    /// Whether it holds; `None` for a figure that is reported without a bar.
    pub holds: Option<bool>,
}

impl Claim {
    /// A claim with a bar that holds or not.
    pub fn with_bar(
        what: impl Into<String>,
        paper: impl Into<String>,
        ours: impl Into<String>,
        bar: impl Into<String>,
        holds: bool,
    ) -> Self {
        let holds = Some(holds);
        Self { what: what.into(), paper: paper.into(), ours: ours.into(), bar: bar.into(), holds }
    }

    /// A figure that is reported without a bar.
    pub fn reported(
        what: impl Into<String>,
        paper: impl Into<String>,
        ours: impl Into<String>,
    ) -> Self {
        let (what, paper, ours) = (what.into(), paper.into(), ours.into());
        Self { what, paper, ours, bar: String::new(), holds: None }
    }
}

/// A figure with the sentence that says what is to be seen.
#[derive(Clone, Debug, Serialize)]
pub struct Plate {
    /// The file, without ending.
    pub name: String,
    /// What is to be seen.
    pub caption: String,
    /// The picture.
    #[serde(skip)]
    pub svg: String,
}

/// The results of one method.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// A short name of the method, or of the part of it: `flatness`.
    pub method: String,
    /// The heading.
    pub title: String,
    /// The paper.
    pub source: String,
    /// What was run, on what data.
    pub setting: String,
    /// Headline results.
    pub claims: Vec<Claim>,
    /// Further figures in columns.
    #[serde(skip)]
    pub tables: Vec<(String, Table)>,
    /// Pictures.
    pub plates: Vec<Plate>,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// A report over one or more methods.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The heading.
    pub title: String,
    /// How to get the same report: program, version, command, machine.
    pub provenance: Vec<(String, String)>,
    /// One section a method, or a part of one.
    pub sections: Vec<Section>,
}

impl Plate {
    /// The figure `figure` in the file `name`.
    #[must_use]
    pub fn of(name: &str, caption: &str, figure: &Figure) -> Self {
        Self { name: name.to_owned(), caption: caption.to_owned(), svg: figure.to_svg() }
    }
}

impl Section {
    /// Whether every bar of this section holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.claims.iter().all(|claim| claim.holds != Some(false))
    }
}

impl Report {
    /// Whether every bar of every section holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.sections.iter().all(Section::holds)
    }

    /// The claims as a table for the terminal.
    #[must_use]
    pub fn summary(&self) -> Table {
        let mut table =
            Table::new().words("method").words("claim").words("paper").words("ours").words("holds");
        for section in &self.sections {
            for claim in &section.claims {
                let Claim { what, paper, ours, holds, .. } = claim;
                table.row([&section.method, what, paper, ours, verdict(*holds)]);
            }
        }
        table
    }

    /// Writes `index.html`, `report.json` and every figure (`NAME.svg`) and returns the path of
    /// the page. The page itself contains the figures, so it can be moved or mailed alone.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Folder) -> Result<PathBuf, Failure> {
        for plate in self.sections.iter().flat_map(|section| &section.plates) {
            folder.write(format!("{}.svg", plate.name), plate.svg.as_bytes())?;
        }
        folder.write("report.json", to_json(self)?.as_bytes())?;
        folder.write("index.html", self.to_html().as_bytes())
    }

    /// The page.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut plates = 0;
        let failed = self.sections.iter().flat_map(|s| &s.claims);
        let failed = failed.filter(|claim| claim.holds == Some(false)).count();
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        h1 { (self.title) }
                        p.verdict.(if failed == 0 { "holds" } else { "fails" }) role="status" {
                            @if failed == 0 { "Every bar holds." }
                            @else if failed == 1 { "One bar does not hold." }
                            @else { (failed) " bars do not hold." }
                        }
                        @if self.sections.len() > 1 {
                            nav aria-label="Methods" {
                                ul {
                                    @for section in &self.sections {
                                        li {
                                            a href={ "#" (section.method) } { (section.title) }
                                            " " (mark(Some(section.holds())))
                                        }
                                    }
                                }
                            }
                        }
                        @for section in &self.sections { (section_html(section, &mut plates)) }
                        footer {
                            h2 { "How this was made" }
                            dl {
                                @for (name, value) in &self.provenance {
                                    dt { (name) } dd { (value) }
                                }
                            }
                        }
                    }
                }
            }
        }
        .into_string()
    }
}

fn section_html(section: &Section, plates: &mut usize) -> Markup {
    html! {
        section id=(section.method) aria-labelledby={ (section.method) "-title" } {
            h2 id={ (section.method) "-title" } { (section.title) }
            p.source { (section.source) }
            p { (section.setting) }
            @if !section.claims.is_empty() {
                div.scroll tabindex="0" {
                    table {
                        caption { "Headline results" }
                        thead {
                            tr {
                                th scope="col" { "Result" }
                                th scope="col" { "Paper" }
                                th scope="col" { "Ours" }
                                th scope="col" { "Bar" }
                                th scope="col" { "Holds" }
                            }
                        }
                        tbody {
                            @for claim in &section.claims {
                                tr {
                                    th scope="row" { (claim.what) }
                                    td { (claim.paper) }
                                    td { (claim.ours) }
                                    td { (claim.bar) }
                                    td { (mark(claim.holds)) }
                                }
                            }
                        }
                    }
                }
            }
            @for plate in &section.plates {
                figure { (inline(plate, { *plates += 1; *plates })) figcaption { (plate.caption) } }
            }
            @for (caption, table) in &section.tables { (table_html(caption, table)) }
        }
    }
}

/// The picture in the page, with names for its parts that no other picture of the page has, and a
/// text for those who cannot see it.
fn inline(plate: &Plate, number: usize) -> Markup {
    let unique = format!("plate-{number}-");
    let svg = plate.svg.replace("kuva-clip-", &unique);
    let Some((open, rest)) = svg.split_once('>') else { return html! {} };
    let label = html! { title id={ (unique) "title" } { (plate.caption) } }.into_string();
    PreEscaped(format!("{open} role=\"img\" aria-labelledby=\"{unique}title\">{label}{rest}"))
}

fn table_html(caption: &str, table: &Table) -> Markup {
    let side = |c: usize| match table.columns()[c].1 {
        crate::table::Align::Left => "words",
        crate::table::Align::Right => "numbers",
    };
    html! {
        div.scroll tabindex="0" {
            table {
                caption { (caption) }
                thead {
                    tr {
                        @for (c, (header, _)) in table.columns().iter().enumerate() {
                            th.(side(c)) scope="col" { (header) }
                        }
                    }
                }
                tbody {
                    @for row in table.rows() {
                        tr { @for (c, cell) in row.iter().enumerate() { td.(side(c)) { (cell) } } }
                    }
                }
            }
        }
    }
}

fn verdict(holds: Option<bool>) -> &'static str {
    match holds {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "reported",
    }
}

fn mark(holds: Option<bool>) -> Markup {
    let (class, text) = match holds {
        Some(true) => ("yes", "✓ yes"),
        Some(false) => ("no", "✗ no"),
        None => ("none", "reported"),
    };
    html! { span.mark.(class) { (text) } }
}

const STYLE: &str = "
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 1.05rem/1.55 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 1rem 0; }
h2 { font-size: 1.4rem; margin: 2.5rem 0 0.5rem; }
a { color: #00558c; }
.source { color: #4a4a4a; font-style: italic; margin: 0 0 1rem; }
.verdict { padding: 0.6rem 1rem; border-left: 0.35rem solid; font-weight: 600; }
.verdict.holds { border-color: #00713a; background: #eef8f1; }
.verdict.fails { border-color: #b00020; background: #fdeef0; }
.mark { white-space: nowrap; font-weight: 600; }
.mark.yes { color: #00713a; } .mark.no { color: #b00020; } .mark.none { color: #4a4a4a; font-weight: 400; }
.scroll { overflow-x: auto; margin: 1.25rem 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.95rem; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.4rem; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.8rem 0.4rem 0; }
thead th { border-bottom: 2px solid #1a1a1a; }
tbody tr + tr > * { border-top: 1px solid #d5d5d5; }
tbody th { font-weight: 400; }
.numbers { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1.75rem 0; }
figure svg { max-width: 100%; height: auto; }
figcaption { color: #333; max-width: 45rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1.25rem; font-size: 0.95rem; }
dt { color: #4a4a4a; } dd { margin: 0; overflow-wrap: anywhere; }
@media print { main { max-width: none; } figure, table { break-inside: avoid; } }
";

#[cfg(test)]
mod tests {
    use super::*;

    fn report(holds: Option<bool>) -> Report {
        let figure = Figure::new("t", "x", "y").line("a", [(0.0, 1.0), (1.0, 2.0)]);
        let plate = |name: &str| Plate::of(name, "Loss <falls>", &figure);
        let mut table = Table::new().words("layer").numbers("trace");
        table.row(["<first>", "1.5"]);
        let section = Section {
            method: "flatness".to_owned(),
            title: "Flatness & compression".to_owned(),
            source: "A paper".to_owned(),
            setting: "Digits".to_owned(),
            claims: vec![Claim {
                what: "sharpness < 2/rate".to_owned(),
                paper: "falls".to_owned(),
                ours: "3.9".to_owned(),
                bar: "below 4".to_owned(),
                holds,
            }],
            tables: vec![("Per layer".to_owned(), table)],
            plates: vec![plate("loss"), plate("loss2")],
            seconds: 1.0,
        };
        Report {
            title: "Report".to_owned(),
            provenance: vec![("Version".to_owned(), "0.1.0".to_owned())],
            sections: vec![section],
        }
    }

    #[test]
    fn text_is_escaped_and_pictures_do_not_share_names() {
        let page = report(Some(true)).to_html();
        assert!(
            page.contains("sharpness &lt; 2/rate") && page.contains("Flatness &amp; compression")
        );
        assert!(page.contains("&lt;first&gt;") && page.contains("Loss &lt;falls&gt;"));
        assert!(page.contains("Every bar holds."));
        let mut names: Vec<_> =
            page.split(" id=\"").skip(1).filter_map(|t| t.split('"').next()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "an id is used twice: {names:?}");
        for name in page.split("url(#").skip(1).filter_map(|t| t.split(')').next()) {
            assert!(names.binary_search(&name).is_ok(), "{name} is not in the page");
        }
        assert!(
            !page.contains("http://")
                || page.matches("http://").count()
                    == page.matches("http://www.w3.org/2000/svg").count()
        );
    }

    #[test]
    fn one_failed_bar_fails_the_report_and_a_figure_without_bar_does_not() {
        assert!(report(None).holds());
        let failed = report(Some(false));
        assert!(!failed.holds());
        assert!(failed.to_html().contains("One bar does not hold."));
        assert!(failed.summary().to_string().contains("NO"));
    }

    #[test]
    fn page_data_and_pictures_are_written() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::create(temporary.path()).unwrap();
        let page = report(Some(true)).write(&folder).unwrap();
        assert!(page.ends_with("index.html"));
        for name in ["index.html", "report.json", "loss.svg", "loss2.svg"] {
            assert!(folder.path().join(name).is_file(), "{name}");
        }
        let json = std::fs::read(folder.path().join("report.json")).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["sections"][0]["claims"][0]["holds"], true);
    }
}
