//! Rates over simulated days: what is usual stays quiet, what is not is told.

use super::*;

const LIMITS: Limits = Limits { spike_min: 50, spike_ratio: 3.0, max_templates: 2_000 };
const MONDAY: i64 = 1_795_996_800;
const TOLD: f64 = 0.8;

/// Numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 60.0 {
            let half = self.poisson(mean / 2.0);
            return half + self.poisson(mean / 2.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// A gamma-distributed factor of mean 1 with this whole shape: bursts.
    fn burst(&mut self, shape: u32) -> f64 {
        (0..shape).map(|_| -(1.0 - self.unit()).ln()).sum::<f64>() / f64::from(shape)
    }
}

/// Feeds minute after minute; the first day is learnt only.
struct Host {
    rates: Rates,
    minute: i64,
    told: Vec<(i64, Departure)>,
}

impl Host {
    fn new() -> Self {
        Host { rates: Rates::default(), minute: 0, told: Vec::new() }
    }

    fn minute(&mut self, counts: &[(u64, u64)]) -> Vec<Departure> {
        self.minute_of(counts, 1.0)
    }

    fn minute_of(&mut self, counts: &[(u64, u64)], spans: f64) -> Vec<Departure> {
        self.minute += 1;
        let counts: Vec<_> = counts.iter().map(|(template, count)| (TemplateId(*template), *count)).collect();
        let tally = Tally {
            closed: Timestamp::from_secs(MONDAY + self.minute * 60),
            spans,
            lines: counts.iter().map(|(_, count)| count).sum(),
            counts: &counts,
            is_learning: self.minute <= 1_440,
        };
        let departures = self.rates.close(&LIMITS, &tally);
        let told = departures.iter().filter(|departure| departure.score >= TOLD);
        self.told.extend(told.map(|departure| (self.minute, *departure)));
        departures
    }

    fn restart(&mut self) {
        let mut rows = Vec::new();
        self.rates.save(&mut rows);
        let mut restored = Rates::default();
        let mut kept = Rates::default();
        // Everything that was ever written: here the rows of now, as all of them were written at some time.
        kept.clone_from(&self.rates);
        kept.dirty.extend(kept.rows.keys().copied());
        kept.dirty_profiles.extend(kept.profiles.keys().copied());
        rows.clear();
        kept.save(&mut rows);
        for row in rows {
            match (Part::from_number(row.part), row.state) {
                (Some(Part::Frequency), Some(state)) => restored.restore_row(row.key, &state),
                (Some(Part::Course), Some(state)) => restored.restore_course(row.key, &state),
                other => panic!("{other:?}"),
            }
        }
        self.rates = restored;
    }
}

fn steady(host: &mut Host, minutes: u32, count: u64) {
    (0..minutes).for_each(|_| _ = host.minute(&[(1, count)]));
}

#[test]
fn ten_times_the_usual_is_told_and_one_to_six_is_not() {
    let mut host = Host::new();
    steady(&mut host, 1_500, 12);
    let departures = host.minute(&[(1, 120), (2, 6)]);
    assert_eq!(departures.len(), 1);
    let spike = departures[0];
    assert_eq!((spike.template, spike.turn, spike.observed), (Some(TemplateId(1)), Turn::Spike, 120));
    assert!((spike.expected.mean - 12.0).abs() < 1e-6 && spike.score > TOLD, "{spike:?}");
    // The least dispersion: variance 12 + 0.02 × 144 = 14.9; two deviations are 7.7.
    assert_eq!(spike.expected.range(), (4, 20));
    let mut rare = Host::new();
    steady(&mut rare, 1_500, 1);
    assert!(rare.minute(&[(1, 6)]).is_empty() && rare.minute(&[(1, 49)]).is_empty());
}

#[test]
fn nothing_is_told_while_learning() {
    let mut host = Host::new();
    steady(&mut host, 1_000, 12);
    assert!(host.minute(&[(1, 5_000)]).is_empty());
}

#[test]
fn a_burst_as_every_hour_is_expected_and_a_larger_one_is_not() {
    let mut host = Host::new();
    for minute in 0..3_000 {
        let job = if minute % 60 == 17 { 400 } else { 0 };
        host.minute(&[(1, 5), (2, job)]);
    }
    assert_eq!(host.told, []);
    let departures = host.minute(&[(1, 5), (2, 4_000)]);
    assert_eq!(departures[0].template, Some(TemplateId(2)));
    assert!(departures[0].score > TOLD);
}

#[test]
fn what_comes_more_often_is_told_though_no_minute_is_odd() {
    let mut host = Host::new();
    for minute in 0..2_880 {
        host.minute(&[(1, 5), (2, u64::from(minute % 60 == 0) * 3)]);
    }
    assert_eq!(host.told, []);
    (0..55).for_each(|_| _ = host.minute(&[(1, 5), (2, 3)]));
    let (_, rise) = host.told[0];
    assert_eq!((rise.template, rise.turn), (Some(TemplateId(2)), Turn::Rise));
}

#[test]
fn a_busy_template_that_nearly_stops_is_told_after_five_windows() {
    let mut host = Host::new();
    steady(&mut host, 3_000, 100);
    assert!((0..4).all(|_| host.minute(&[(1, 2), (2, 98)]).is_empty()), "not yet");
    let departures = host.minute(&[(1, 2), (2, 98)]);
    assert_eq!((departures[0].turn, departures[0].observed), (Turn::Drop, 2));
    assert!(departures[0].score > TOLD);
}

#[test]
fn a_spike_of_a_template_is_not_told_again_as_one_of_all_lines() {
    let mut host = Host::new();
    (0..1_500).for_each(|_| _ = host.minute(&[(1, 50), (2, 50)]));
    let departures = host.minute(&[(1, 900), (2, 50)]);
    assert_eq!(
        departures.iter().map(|departure| departure.template).collect::<Vec<_>>(),
        [Some(TemplateId(1))]
    );
    let many: Vec<(u64, u64)> = (100..180).map(|template| (template, 20)).collect();
    assert_eq!(host.minute(&many)[0].template, None, "many small ones are a spike of all lines");
}

#[test]
fn a_backlog_in_one_window_is_as_many_windows_worth_of_lines() {
    let mut host = Host::new();
    steady(&mut host, 1_500, 30);
    assert!(host.minute_of(&[(1, 300)], 10.0).is_empty());
    assert_eq!(host.minute(&[(1, 300)]).len(), 1);
}

#[test]
fn a_higher_level_that_stays_becomes_usual_within_hours() {
    let mut host = Host::new();
    steady(&mut host, 1_500, 20);
    steady(&mut host, 1_440, 200);
    let told = host.told.len();
    let last = host.told.last().unwrap().0 - 1_500;
    assert!((100..=240).contains(&last), "told {told} times, last after {last} minutes");
}

#[test]
fn quiet_weeks_are_quiet_and_the_tenfold_minute_in_them_is_found() {
    let mut false_alarms = 0;
    let mut found = 0;
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let mut host = Host::new();
        for minute in 0..7 * 1_440_i64 {
            // Night and day differ threefold.
            let daily = 1.0 + 0.5 * (std::f64::consts::TAU * (minute % 1_440) as f64 / 1_440.0).sin();
            let mut counts: Vec<(u64, u64)> = (1..=12)
                .map(|template| {
                    let mean = [0.02, 0.2, 1.0, 5.0, 20.0, 80.0][(template % 6) as usize];
                    let course = if template > 6 { daily } else { 1.0 };
                    let burst = if template % 2 == 0 { dice.burst(2) } else { 1.0 };
                    (template, dice.poisson(mean * course * burst))
                })
                .collect();
            let is_attacked = minute == 5 * 1_440 + 700;
            if is_attacked {
                counts[10].1 = 800;
            }
            let told = host.told.len();
            host.minute(&counts);
            match is_attacked {
                true => found += usize::from(host.told.len() > told),
                false => false_alarms += host.told.len() - told,
            }
        }
    }
    assert_eq!(found, 3);
    assert!(false_alarms <= 1, "{false_alarms} false alarms in three host-weeks");
}

#[test]
fn a_restart_in_the_middle_of_learning_changes_nothing() {
    let (mut whole, mut restarted) = (Host::new(), Host::new());
    let mut dice = Dice(9);
    for minute in 0..3_000 {
        let counts: Vec<(u64, u64)> =
            (1..=5).map(|template| (template, dice.poisson(8.0 * template as f64))).collect();
        let counts = if minute == 2_500 { vec![(3, 900)] } else { counts };
        assert_eq!(whole.minute(&counts), restarted.minute(&counts));
        if [7, 700, 1_441, 2_499].contains(&minute) {
            restarted.restart();
        }
    }
    assert_eq!(whole.rates.rows, restarted.rates.rows);
    assert_eq!(whole.rates.profiles, restarted.rates.profiles);
    assert!(!whole.told.is_empty());
}

#[test]
fn rows_are_small_and_the_oldest_go_first() {
    let mut host = Host::new();
    let limits = Limits { max_templates: 100, ..LIMITS };
    let mut rows = Vec::new();
    for window in 0..50_u64 {
        let counts: Vec<_> = (1..=40).map(|n| (TemplateId(window * 40 + n), 3)).collect();
        let closed = Timestamp::from_secs(MONDAY + 60 * i64::try_from(window).unwrap());
        let tally = Tally { closed, spans: 1.0, counts: &counts, lines: 120, is_learning: false };
        host.rates.close(&limits, &tally);
        assert!(host.rates.rows.len() <= 100);
        host.rates.save(&mut rows);
    }
    assert!(rows.iter().filter_map(|row| row.state.as_ref()).all(|state| state.len() <= 100));
    let mut live = BTreeSet::new();
    for row in rows.iter().filter(|row| row.part == Part::Frequency.number()) {
        if row.state.is_some() {
            live.insert(row.key)
        } else {
            live.remove(&row.key)
        };
    }
    assert_eq!(live.len(), host.rates.rows.len(), "what is evicted is forgotten in the store, too");
    assert!(live.contains(&VOLUME) && live.contains(&2_000) && !live.contains(&1));
    assert!(host.rates.bytes() < 100 * 150);
}

#[test]
fn a_template_that_was_merged_brings_its_rate_along() {
    let mut host = Host::new();
    (0..1_500).for_each(|_| _ = host.minute(&[(1, 20), (2, 80)]));
    host.rates.merge(&|id| if id == TemplateId(2) { TemplateId(1) } else { id });
    assert!(host.minute(&[(1, 100)]).is_empty());
    assert!(!host.rates.rows.contains_key(&2));
}
