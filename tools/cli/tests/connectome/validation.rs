//! `hesse validate connectome`.

use hesse::io::{Archive, Array};
use serde_json::Value;

use crate::{desk, golden};

#[test]
fn reference_files_are_validated_from_outside() {
    let desk = desk();
    let (small, objective) = (golden("p1_small"), golden("objective"));
    let output = desk.run(&format!("validate connectome {small} {objective} --json --out found"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["layout"], &lines[1]["layout"]),
        (&"p1_small".into(), &"objective".into())
    );
    assert!(
        lines.iter().all(|line| line["pass"] == true && line["unknown"] == serde_json::json!([]))
    );
    assert_eq!(std::fs::read_to_string(desk.path("found/validate.jsonl")).unwrap(), text);
    let mut arrays = Archive::read(&small).unwrap();
    let mut w = arrays.get("c_W").unwrap().to_f64().unwrap();
    w[3] += 0.01;
    arrays.insert("c_W", Array::new([9, 8], w).unwrap());
    arrays.write(desk.path("changed.npz")).unwrap();
    let output = desk.run("validate connectome changed.npz");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("FAIL") && text.contains("c_W"), "{text}");
    let line = desk.refused("validate connectome toy.npz");
    assert!(line.contains("expected the arrays of one of these layouts: laplacian"), "{line}");
}
