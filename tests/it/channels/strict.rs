//! Chat services that hold a message to what their documents say: limits in their own unit, signatures, required and
//! known fields. What breaks a rule gets the service's own error body.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;
use serde_json::{Value, json};

use crate::harness::{Answer, fake::Recorded, now_nanos};

/// What the settings of the tests say.
pub const TELEGRAM_TOKEN: &str = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw";
pub const DING_SECRET: &str = "SEC0123456789abcdef0123456789abcdef";
pub const DING_TOKEN: &str = "dingtoken0123456789abcdef";
pub const DING_KEYWORD: &str = "ALERT";
pub const WECOM_KEY: &str = "wecomkey-0123-4567-89ab";
pub const FEISHU_SECRET: &str = "feishusecret0123";

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The keys of an object that are not in the list.
fn unknown_keys(object: &Value, known: &[&str]) -> Vec<String> {
    let keys = object.as_object().into_iter().flat_map(|object| object.keys());
    keys.filter(|key| !known.contains(&key.as_str())).cloned().collect()
}

fn status(status: u16, body: &Value) -> Answer {
    Answer { status, ..Answer::json(body) }
}

fn hmac_base64(key: &str, message: &str) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), message.as_bytes()))
}

/// Whether a time lies within an hour of now.
fn is_recent(seconds: i64) -> bool {
    (now_nanos() as i64 / 1_000_000_000 - seconds).abs() < 3_600
}

pub fn telegram(request: &Recorded) -> Answer {
    let bad =
        |code: u16, why: &str| status(code, &json!({"ok": false, "error_code": code, "description": why}));
    let (path, body) = (request.path.as_str(), request.json());
    let method = path.strip_prefix(&format!("/bot{TELEGRAM_TOKEN}/")).unwrap_or_default();
    if !matches!(method, "sendMessage" | "editMessageText") {
        return bad(401, "Unauthorized");
    }
    let known = [
        "chat_id",
        "text",
        "entities",
        "link_preview_options",
        "disable_notification",
        "message_thread_id",
        "reply_parameters",
        "message_id",
    ];
    if !unknown_keys(&body, &known).is_empty() {
        return bad(400, "Bad Request: unknown field");
    }
    if body["chat_id"] != "-1001" {
        return bad(400, "Bad Request: chat not found");
    }
    let content = text(&body["text"]);
    if content.is_empty() || utf16(content) > 4_096 {
        return bad(400, "Bad Request: message is too long");
    }
    let units: Vec<u16> = content.encode_utf16().collect();
    let mut loose = units.clone();
    for entity in list(&body["entities"]) {
        let number = |name: &str| entity[name].as_u64().unwrap_or(u64::MAX) as usize;
        let end = number("offset").saturating_add(number("length"));
        let Some(covered) = units.get(number("offset")..end).filter(|covered| !covered.is_empty()) else {
            return bad(400, "Bad Request: can't parse entities: entity beyond the text");
        };
        if String::from_utf16(covered).is_err() {
            return bad(400, "Bad Request: can't parse entities: entity inside a character");
        }
        if entity["type"] == "code" || entity["type"] == "pre" {
            loose[number("offset")..end].fill(u16::from(b' '));
        }
    }
    // Outside of code, `@` and a letter is a mention.
    let loose = String::from_utf16(&loose).unwrap();
    if loose.split('@').skip(1).any(|after| after.starts_with(|c: char| c.is_ascii_alphanumeric())) {
        return bad(400, "Bad Request: the test forbids mentions");
    }
    Answer::json(&json!({"ok": true, "result": {"message_id": 42}}))
}

pub fn slack(request: &Recorded) -> Answer {
    let bad = |code, word: &str| Answer { body: word.as_bytes().to_vec(), ..Answer::status(code) };
    let body = request.json();
    if request.path != "/services/T000/B000/slackhook0123456789" {
        return bad(404, "no_service");
    }
    if text(&body["text"]).is_empty() || !unknown_keys(&body, &["text", "blocks", "mrkdwn"]).is_empty() {
        return bad(400, "invalid_payload");
    }
    let blocks = list(&body["blocks"]);
    let mut texts = vec![(json!({"type": "mrkdwn", "text": body["text"]}), 40_000)];
    for block in blocks {
        match text(&block["type"]) {
            "header" if block["text"]["type"] == "plain_text" => texts.push((block["text"].clone(), 150)),
            "section" if block.get("fields").is_some() => {
                let fields = list(&block["fields"]);
                if fields.is_empty() || fields.len() > 10 {
                    return bad(400, "invalid_blocks");
                }
                texts.extend(fields.iter().map(|field| (field.clone(), 2_000)));
            }
            "section" => texts.push((block["text"].clone(), 3_000)),
            "context" => texts.extend(list(&block["elements"]).iter().map(|text| (text.clone(), 3_000))),
            _ => return bad(400, "invalid_blocks"),
        }
    }
    let length = |object: &Value| text(&object["text"]).chars().count();
    if blocks.len() > 50 || texts.iter().skip(1).map(|(object, _)| length(object)).sum::<usize>() > 13_200 {
        return bad(400, "msg_blocks_too_long");
    }
    for (object, max) in &texts {
        let is_plain = object["type"] == "plain_text";
        let is_mention =
            |object: &Value| ["<!", "<@", "<#"].iter().any(|tag| text(&object["text"]).contains(tag));
        if length(object) == 0 || length(object) > *max || !is_plain && is_mention(object) {
            return bad(400, "invalid_blocks");
        }
    }
    Answer { body: b"ok".to_vec(), ..Answer::status(200) }
}

pub fn discord(request: &Recorded) -> Answer {
    let body = request.json();
    let bad = |why: &str| {
        let errors = json!({"embeds": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": why}]}});
        status(400, &json!({"message": "Invalid Form Body", "code": 50_035, "errors": errors}))
    };
    let (path, query) = (request.path.split('?').next().unwrap(), request.query());
    let is_edit =
        path == "/api/webhooks/123/discordtoken0123456789/messages/1203" && request.method == "PATCH";
    let is_new = path == "/api/webhooks/123/discordtoken0123456789" && request.method == "POST";
    if !is_edit && !is_new {
        return status(404, &json!({"message": "Unknown Webhook", "code": 10_015}));
    }
    if is_new && !query.contains(&("wait".to_owned(), "true".to_owned())) {
        // Without it Discord says nothing when it keeps nothing.
        return Answer::status(500);
    }
    if body["allowed_mentions"] != json!({"parse": []}) {
        return bad("the test forbids mentions");
    }
    let embeds = list(&body["embeds"]);
    let content = utf16(text(&body["content"]));
    if content > 2_000 || embeds.len() > 10 || content == 0 && embeds.is_empty() {
        return bad("content");
    }
    let mut total = 0;
    for embed in embeds {
        let fields = list(&embed["fields"]);
        let lengths = [
            (utf16(text(&embed["title"])), 256),
            (utf16(text(&embed["description"])), 4_096),
            (utf16(text(&embed["footer"]["text"])), 2_048),
            (fields.len(), 25),
        ];
        let in_fields = fields
            .iter()
            .flat_map(|field| [(utf16(text(&field["name"])), 256), (utf16(text(&field["value"])), 1_024)]);
        total += lengths.iter().take(3).map(|(length, _)| length).sum::<usize>();
        for (length, max) in in_fields {
            total += length;
            if length == 0 || length > max {
                return bad("field");
            }
        }
        let is_time = text(&embed["timestamp"]).parse::<sigyn::model::Timestamp>().is_ok();
        if lengths.iter().any(|(length, max)| length > max) || total > 6_000 || !is_time {
            return bad("embed");
        }
    }
    Answer::json(&json!({"id": "1203", "type": 0}))
}

pub fn dingtalk(request: &Recorded) -> Answer {
    let answer = |code: i64, why: &str| Answer::json(&json!({"errcode": code, "errmsg": why}));
    let query = request.query();
    let value =
        |name: &str| query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    if value("access_token") != DING_TOKEN {
        return answer(300_001, "token is not exist");
    }
    let millis = value("timestamp");
    let is_signed = value("sign") == hmac_base64(DING_SECRET, &format!("{millis}\n{DING_SECRET}"));
    if !is_signed || !is_recent(millis.parse::<i64>().unwrap_or(0) / 1_000) {
        return answer(310_000, "sign not match");
    }
    if request.body.len() > 20_000 {
        return answer(460_101, "message too long, exceed 20000 bytes");
    }
    let body = request.json();
    let content = match text(&body["msgtype"]) {
        "markdown" if !text(&body["markdown"]["title"]).is_empty() => text(&body["markdown"]["text"]),
        "text" => text(&body["text"]["content"]),
        _ => return answer(400_402, "invalid parameter"),
    };
    if !content.contains(DING_KEYWORD) {
        return answer(310_000, "keywords not in content");
    }
    if body["at"]["isAtAll"] != false || content.contains("![") {
        return answer(400_402, "the test forbids mentions and pictures");
    }
    answer(0, "ok")
}

pub fn wecom(request: &Recorded) -> Answer {
    let answer = |code: i64, why: &str| Answer::json(&json!({"errcode": code, "errmsg": why}));
    if !request.query().contains(&("key".to_owned(), WECOM_KEY.to_owned())) {
        return answer(93_000, "invalid webhook url");
    }
    let body = request.json();
    let (content, max) = match text(&body["msgtype"]) {
        "markdown" => (text(&body["markdown"]["content"]), 4_096),
        "text" => (text(&body["text"]["content"]), 2_048),
        _ => return answer(40_008, "invalid message type"),
    };
    if content.len() > max {
        return answer(40_058, "markdown.content exceed max length 4096");
    }
    if content.is_empty() || content.contains("<@") {
        return answer(44_004, "the test forbids empty texts and mentions");
    }
    answer(0, "ok")
}

pub fn feishu(request: &Recorded) -> Answer {
    let answer = |code: i64, why: &str| Answer::json(&json!({"code": code, "msg": why, "data": {}}));
    let body = request.json();
    if request.path != "/open-apis/bot/v2/hook/feishutoken0123456789" {
        return answer(19_001, "param invalid: incoming webhook access token invalid");
    }
    let seconds = text(&body["timestamp"]);
    let is_signed = text(&body["sign"]) == hmac_base64(&format!("{seconds}\n{FEISHU_SECRET}"), "");
    if !is_signed || !is_recent(seconds.parse().unwrap_or(0)) {
        return answer(19_021, "sign match fail or timestamp is not within one hour");
    }
    if request.body.len() > 20 * 1_024 {
        return answer(9_499, "Bad Request: body too large");
    }
    let is_good = match text(&body["msg_type"]) {
        "text" => !text(&body["content"]["text"]).contains("<at"),
        "interactive" => {
            let card = &body["card"];
            !list(&card["elements"]).is_empty()
                && card["header"]["title"]["tag"] == "plain_text"
                && !card.to_string().contains("lark_md")
        }
        _ => false,
    };
    if is_good { answer(0, "success") } else { answer(11_246, "card contains invalid values") }
}

pub fn teams(request: &Recorded) -> Answer {
    let body = request.json();
    let card = &body["attachments"][0]["content"];
    let blocks = list(&card["body"]);
    let is_card = body["type"] == "message"
        && body["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"
        && card["type"] == "AdaptiveCard";
    if !request.path.starts_with("/workflows/") {
        return status(404, &json!({"error": {"code": "WorkflowNotFound"}}));
    }
    if request.body.len() > 28_000 {
        return Answer::status(413);
    }
    // A TextBlock would read Markdown.
    let is_plain = |block: &Value| {
        let runs = list(&block["inlines"]);
        block["type"] == "RichTextBlock" && runs.iter().all(|run| !text(&run["text"]).is_empty())
    };
    if !is_card || blocks.is_empty() || !blocks.iter().all(is_plain) {
        return status(400, &json!({"error": {"code": "TriggerInputSchemaMismatch"}}));
    }
    Answer::status(202)
}
