//! `recert recertify --plan`: what to expect, before anything is run.

use recert::job::Forecast;
use recert::report::csv::line;
use recert::report::speed_up::Ratio;

use crate::exit::Result;
use crate::terminal;

/// Prints forecasts, as tables, as one JSON document, or as comma-separated values.
pub(super) fn print(forecasts: &[Forecast], (json, csv): (bool, bool)) -> Result<()> {
    let text = if csv {
        as_csv(forecasts)
    } else if json {
        format!("{:#}\n", Forecast::all_to_json(forecasts))
    } else {
        let tables: Vec<_> = forecasts.iter().map(Forecast::to_string).collect();
        tables.join("\n")
    };
    terminal::print(&text)
}

/// A line per network and budget; a speed-up that is only bounded is left out. With a radius to
/// stop at, a line per network.
fn as_csv(forecasts: &[Forecast]) -> String {
    let until = |forecast: &Forecast| {
        let until = forecast.until?;
        Some(line(&[
            forecast.network.clone(),
            forecast.inputs.to_string(),
            forecast.n.to_string(),
            until.radius.to_string(),
            until.evaluations.to_string(),
            until.promising.to_string(),
        ]))
    };
    let untils: Vec<String> = forecasts.iter().filter_map(until).collect();
    if !untils.is_empty() {
        let heads = [
            "network",
            "inputs",
            "n",
            "until_radius",
            "evaluations",
            "promising",
        ];
        return line(&heads) + &untils.concat();
    }
    let mut text = line(&[
        "network",
        "inputs",
        "n",
        "evaluations",
        "auto",
        "from_scratch",
        "planned",
        "speed_up_from_scratch",
        "speed_up_planned",
        "speed_up_paper",
    ]);
    let ratio = |ratio: Option<Ratio>| match ratio {
        Some(Ratio::Exactly(ratio)) => ratio.to_string(),
        _ => String::new(),
    };
    for forecast in forecasts {
        for expected in &forecast.budgets {
            text += &line(&[
                forecast.network.clone(),
                forecast.inputs.to_string(),
                forecast.n.to_string(),
                expected.evaluations.to_string(),
                expected.auto.to_string(),
                expected.from_scratch.from_scratch.to_string(),
                expected.from_scratch.planned.to_string(),
                ratio(expected.speed_up.from_scratch),
                ratio(expected.speed_up.planned),
                ratio(expected.speed_up.paper),
            ]);
        }
    }
    text
}
