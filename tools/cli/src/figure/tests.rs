use super::axis::power_of_ten;
use super::*;

fn texts(svg: &str) -> Vec<&str> {
    svg.split("<text")
        .skip(1)
        .filter_map(|t| t.split_once('>')?.1.split_once('<'))
        .map(|t| t.0)
        .collect()
}

#[test]
fn ticks_of_one_axis_share_their_notation() {
    let svg = Figure::new("", "", "")
        .points("", (0..9).map(|i| (f64::from(i), 9.6e-4 + 2e-5 * f64::from(i))))
        .to_svg();
    let found = texts(&svg);
    assert!(found.contains(&"0.00095") || found.contains(&"0.001"), "{found:?}");
    assert!(found.iter().all(|t| !t.contains('e')), "{found:?}");
    assert_eq!(decimal(1.25e-9, 2.5e-10, 2e-9), "1.25e-9");
    assert_eq!(decimal(0.1 + 0.2, 0.1, 1.0), "0.3");
    assert_eq!(decimal(250_000.0, 50_000.0, 250_000.0), "2.5e5");
    assert_eq!(power_of_ten(-14.0), "10⁻¹⁴");
}

#[test]
fn logarithmic_axes_reach_below_the_librarys_own() {
    let svg = Figure::new("", "", "").log_y().line("r", [(0.0, 1e-15), (1.0, 1e-3)]).to_svg();
    assert!(texts(&svg).contains(&"10⁻¹⁶"), "{:?}", texts(&svg));
}

#[test]
fn a_curve_breaks_where_it_is_not_finite_or_not_positive() {
    let figure = Figure::new("", "", "")
        .log_y()
        .line("x", [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 3.0), (4.0, -1.0), (5.0, 4.0)]);
    let Mark::Line { points, .. } = &figure.marks[0] else { unreachable!() };
    let axes = [figure.axis(0), figure.axis(1)];
    let lengths: Vec<_> = figure.pieces(points, &axes).iter().map(Vec::len).collect();
    assert_eq!(lengths, [2, 1, 1]);
}

#[test]
fn no_data_extreme_data_and_strange_names_make_a_figure() {
    let huge = [(0.0, f64::MAX), (f64::MIN_POSITIVE, f64::MIN), (1e300, 0.0)];
    for figure in [
        Figure::new("empty", "x", "y"),
        Figure::new("nan", "x", "y").line("nan", [(f64::NAN, 1.0), (f64::INFINITY, 1.0)]),
        Figure::new("nothing positive", "x", "y").log_x().log_y().points("p", [(-1.0, 0.0)]),
        Figure::new("one point", "x", "y").line("p", [(3.0, 4.0)]).band([(3.0, 1.0, 2.0)]),
        Figure::new("huge", "x", "y").line("p", huge).histogram("h", &[1e300, -1e300], 3),
        Figure::new("constant", "x", "y").histogram("h", &[2.0; 5], 4).log_y(),
        Figure::new("reversed limits", "x", "y").x_from_to(2.0, 1.0).y_from_to(0.0, 0.0),
        Figure::new("a<b & \"$x$\" \u{1b}", "<script>", "$").vertical("</svg>", 1.0),
    ] {
        let svg = figure.to_svg();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"), "{}", figure.title);
        assert_eq!(svg.matches("</svg>").count(), 1, "{}", figure.title);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}: {svg}", figure.title);
        assert!(!svg.contains("<script>"), "{}", figure.title);
    }
}

#[test]
fn heat_maps_show_the_first_row_on_top_and_zero_white() {
    let rows = vec![vec![-1.0, 0.0, 3.0], vec![f64::NAN, 1.0]];
    let svg = heatmap("h", "x", "y", &rows);
    let fills: Vec<_> = svg.split("<rect").skip(1).collect();
    let y_of = |rect: &&str| -> f64 {
        rect.split_once(" y=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap()
    };
    let grey: Vec<_> = fills.iter().filter(|r| r.contains("#bbbbbb")).collect();
    assert_eq!(grey.len(), 2, "the two entries that are not there");
    let white = fills.iter().find(|r| r.contains(&ColorMap::RedBlue.map(0.5))).unwrap();
    assert!(y_of(grey[0]) > y_of(white), "the second row is below the first");
    assert!(heatmap("none", "x", "y", &[]).starts_with("<svg"));
}

#[test]
fn a_histogram_counts_every_finite_value_once() {
    let values = [0.0, 1.0, 1.0, 2.0, f64::NAN, 4.0];
    let figure = Figure::new("", "", "").histogram("h", &values, 4);
    let Mark::Bars { edges, heights, .. } = &figure.marks[0] else { unreachable!() };
    assert_eq!(edges, &[0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(heights, &[1.0, 2.0, 1.0, 1.0]);
}
