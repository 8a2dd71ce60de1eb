//! Push and paging services, held to their documents like the chat services.

use serde_json::{Value, json};

use crate::harness::{Answer, fake::Recorded};

pub const NTFY_TOPIC: &str = "ntfytopic0123456789";
pub const NTFY_TOKEN: &str = "tk_ntfytoken0123456789";
pub const GOTIFY_TOKEN: &str = "Agotifytoken123";
pub const PUSHOVER_TOKEN: &str = "azGDORePK8gMaC0QOYAMyEEuzJnyUi";
pub const PUSHOVER_USER: &str = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG";
pub const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn status(status: u16, body: &Value) -> Answer {
    Answer { status, ..Answer::json(body) }
}

pub fn ntfy(request: &Recorded) -> Answer {
    let bad = |code: u64, why: &str| {
        status((code / 100) as u16, &json!({"code": code, "http": code / 100, "error": why}))
    };
    let body = request.json();
    if request.header("authorization") != Some(&format!("Bearer {NTFY_TOKEN}")) {
        return bad(40_101, "unauthorized");
    }
    if request.path != "/" || body["topic"] != NTFY_TOPIC {
        return bad(40_301, "forbidden");
    }
    let is_known = body
        .as_object()
        .unwrap()
        .keys()
        .all(|key| ["topic", "title", "message", "priority", "tags", "click"].contains(&key.as_str()));
    if !is_known || !(1..=5).contains(&body["priority"].as_u64().unwrap_or(0)) {
        return bad(40_024, "request body must be valid JSON");
    }
    if text(&body["message"]).len() > 4_096 || request.body.len() > 8_000 {
        return bad(41_303, "JSON body too large");
    }
    Answer::json(&json!({"id": "sPs71M8A2T", "event": "message", "topic": NTFY_TOPIC}))
}

pub fn gotify(request: &Recorded) -> Answer {
    let body = request.json();
    let bad = |code: u16, why: &str| {
        status(code, &json!({"error": "x", "errorCode": code, "errorDescription": why}))
    };
    if request.header("x-gotify-key") != Some(GOTIFY_TOKEN) || request.path != "/message" {
        return bad(401, "you need to provide a valid access token or user credentials to access this api");
    }
    if text(&body["message"]).is_empty() || !body["priority"].is_u64() {
        return bad(400, "Field 'message' is required");
    }
    Answer::json(&json!({"id": 25, "appid": 5, "message": body["message"], "priority": body["priority"]}))
}

pub fn pushover(request: &Recorded) -> Answer {
    let body = request.json();
    let bad = |name: &str, why: &str| {
        status(400, &json!({name: "invalid", "errors": [why], "status": 0, "request": "5042"}))
    };
    if body["token"] != PUSHOVER_TOKEN {
        return bad("token", "application token is invalid");
    }
    if body["user"] != PUSHOVER_USER {
        return bad("user", "user identifier is not a valid user, group, or subscribed user key");
    }
    let length = |name: &str| text(&body[name]).chars().count();
    if length("message") == 0 || length("message") > 1_024 || length("title") > 250 || length("url") > 512 {
        return bad("message", "message cannot be blank");
    }
    Answer::json(&json!({"status": 1, "request": "647d2300-702c-4b38-8b2f-d56326ae460b"}))
}

pub fn pagerduty(request: &Recorded) -> Answer {
    let body = request.json();
    let bad = |why: &str| {
        status(
            400,
            &json!({"status": "invalid event", "message": "Event object is invalid", "errors": [why]}),
        )
    };
    let payload = &body["payload"];
    if text(&body["routing_key"]) != ROUTING_KEY {
        return bad("Length of 'routing_key' is incorrect (should be 32 characters)");
    }
    if !matches!(text(&body["event_action"]), "trigger" | "resolve") || text(&body["dedup_key"]).len() > 255 {
        return bad("'event_action' is missing or blank");
    }
    let summary = text(&payload["summary"]).chars().count();
    let is_severity = ["critical", "error", "warning", "info"].contains(&text(&payload["severity"]));
    let is_payload = (1..=1_024).contains(&summary) && is_severity && !text(&payload["source"]).is_empty();
    if body["event_action"] == "trigger" && !is_payload {
        return bad("'payload.summary' is missing or blank");
    }
    if request.body.len() > 512 * 1_024 {
        return Answer::status(413);
    }
    status(202, &json!({"status": "success", "message": "Event processed", "dedup_key": body["dedup_key"]}))
}

pub fn alertmanager(request: &Recorded) -> Answer {
    let bad = |why: &str| status(400, &json!(why));
    let body = request.json();
    let Some(alerts) = body.as_array().filter(|_| request.path == "/api/v2/alerts") else {
        return status(404, &json!("path not found"));
    };
    for alert in alerts {
        let labels = alert["labels"].as_object().filter(|labels| labels.contains_key("alertname"));
        if labels.is_none_or(|labels| labels.values().any(|value| !value.is_string())) {
            return bad("at least one label pair required");
        }
        let is_time = |name: &str| {
            alert[name].is_null() || text(&alert[name]).parse::<sigyn::model::Timestamp>().is_ok()
        };
        if !is_time("startsAt") || !is_time("endsAt") {
            return bad("start time must be before end time");
        }
    }
    Answer::status(200)
}

pub fn apprise(request: &Recorded) -> Answer {
    let body = request.json();
    let is_type = ["info", "success", "warning", "failure"].contains(&text(&body["type"]));
    if request.path != "/notify/apprisekey0123456789" {
        return Answer::status(204);
    }
    if text(&body["body"]).is_empty() || !is_type || body["format"] != "text" {
        return status(400, &json!({"error": "Payload is invalid"}));
    }
    Answer::status(200)
}
