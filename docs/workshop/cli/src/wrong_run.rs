//! `cargo workshop wrong`: shows what a check says about a wrong solution. For instructors.

use crate::check::{Checked, check, lay_out};
use crate::layout::LAB;
use crate::report::headline;
use crate::stage::Stage;
use crate::terminal::Style;
use crate::{End, Problem, compile, draw, layout, wrong};

/// Lists the wrong solutions of a stage, or checks one.
pub(crate) fn show(number: u32, name: Option<&String>, style: &Style) -> Result<End, Problem> {
    let stage = Stage::find(number)?;
    let all = wrong::all(&stage)?;
    let Some(name) = name else {
        for wrong in all {
            println!("{:<6} {:<32} {}", wrong.id, wrong.name, wrong.why);
        }
        return Ok(End::Green);
    };
    match all.iter().find(|wrong| wrong.name == *name) {
        Some(wrong) => run(&stage, wrong, style),
        None => {
            let names: Vec<&str> = all.iter().map(|wrong| wrong.name.as_str()).collect();
            let names = names.join(", ");
            Err(format!("stage {number} has no wrong solution `{name}`: {names}"))
        }
    }
}

fn run(stage: &Stage, wrong: &wrong::Wrong, style: &Style) -> Result<End, Problem> {
    let out = format!("{LAB}/wrong-{}", stage.folder());
    let source = format!("{out}/src");
    let files = wrong.apply(stage)?;
    compile::prepare()?;
    lay_out(&files, &source)?;
    let checked = check(stage, &source, &out, true)?;
    let Checked::Ran { passed, of, failed: Some((case, mut report)) } = checked else {
        return Err(format!("stage {}: {} does not fail", stage.number, wrong.name));
    };
    println!("{}", headline(stage, passed, of));
    report.hint = format!(" {}", stage.number);
    print!("{}", report.show(stage, &files, &case, style));
    if let (Some(reference), Some(seen)) = (draw::reference(stage)?, draw::trace(&out)?) {
        let path = format!("{out}/picture.svg");
        layout::write(&path, &draw::svg(&[("wrong", &seen), ("reference", &reference)]))?;
        println!("        picture   docs/workshop/{path}");
    }
    Ok(End::Red)
}
