//! The walk: every operation by every caller, with its own values and with another tenant's.
//!
//! What only reads comes first, then what changes by those who must not change anything of A, with A's state read again for each operation: after the
//! requests of the caller that tries everything, and after those of all others together. What A and the operator may change comes last.

use std::collections::BTreeMap;

use anyhow::Context;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::callers::{Caller, Side, Who};
use super::client::{Answer, Client, Request};
use super::document::{Body, Operation, Parameter, Place, Way};
use super::judge::{self, Whose, is_about_oneself, is_judged, is_open, may};
use super::people::{self, ENDS_SESSIONS};
use super::plant::{self, Planted};
use super::state;
use super::values::{self, Filling, OF_A_LOG, Thing};
use crate::looking::progress;

/// Requests that are under way at once, where their order does not count.
const AT_ONCE: usize = 8;

/// What became of one request.
#[derive(Debug)]
pub(super) struct Step {
    /// Which operation, and which caller, by their places in their lists.
    pub(super) operation: usize,
    pub(super) caller: usize,
    /// What was sent, for people.
    pub(super) what: String,
    pub(super) status: u16,
    pub(super) fault: Option<String>,
}

/// All that was found out.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) steps: Vec<Step>,
    /// What is wrong with an operation itself.
    pub(super) faults: Vec<String>,
    /// What could not be tried, and why.
    pub(super) notes: Vec<String>,
}

impl Walked {
    /// All that is wrong, a line each.
    pub(super) fn wrong(&self, operations: &[Operation], callers: &[Caller]) -> Vec<String> {
        let of_step = |step: &Step| step.fault.as_ref().map(|fault| format!("{} by {} with {}: {fault}", operations[step.operation].name(), callers[step.caller].name, step.what));
        self.faults.iter().cloned().chain(self.steps.iter().filter_map(of_step)).collect()
    }
}

/// Who walks, and what it needs for it.
pub(super) struct Walk<'a> {
    client: &'a Client,
    operations: &'a [Operation],
    callers: &'a [Caller],
    planted: Planted,
    walked: Walked,
    /// A's state as it was read last.
    state: BTreeMap<String, Value>,
    /// What is to be sent, in any order.
    waiting: Vec<ToSend<'a>>,
}

/// One request, and all that there is to know of it.
struct ToSend<'a> {
    at: usize,
    operation: &'a Operation,
    ways: &'a [Way],
    caller: (usize, Caller),
    whose: Whose,
    request: Request,
    what: String,
    /// What it holds beside its parameters.
    sent: Vec<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(client: &'a Client, operations: &'a [Operation], callers: &'a [Caller], planted: Planted) -> Self {
        Self { client, operations, callers, planted, walked: Walked::default(), state: BTreeMap::new(), waiting: Vec::new() }
    }

    /// Walks all of it.
    ///
    /// # Errors
    /// No answer: then nothing is known.
    pub(super) async fn all(mut self) -> anyhow::Result<Walked> {
        let operations = self.operations;
        let mut known: Vec<(usize, &'a Operation, &'a [Way])> = Vec::new();
        for (at, operation) in operations.iter().enumerate() {
            let lacking = values::lacking(operation);
            self.walked.faults.extend(operation.ways.as_ref().err().iter().copied().chain(&lacking).map(|fault| format!("{}: {fault}", operation.name())));
            match &operation.ways {
                Ok(ways) if !is_judged(operation, ways) => self
                    .walked
                    .faults
                    .push(format!("{}: it is open to everybody, and nothing says what must come of it: add it to OPEN in server/src/isolation_check/judge.rs", operation.name())),
                Ok(_) if self.lacks_doors(operation) => {
                    self.walked.notes.push(format!("{} was not tried: {}", operation.name(), self.planted.no_doors.as_deref().unwrap_or_default()));
                }
                Ok(ways) if lacking.is_empty() => known.push((at, operation, ways)),
                _ => {}
            }
        }
        // What ends sessions comes last: after it some are logged in no more.
        known.sort_by_key(|(_, operation, _)| ENDS_SESSIONS.contains(&operation.name().as_str()));
        let callers: Vec<(usize, &'a Caller)> = self.callers.iter().enumerate().collect();
        for (at, operation, ways) in known.iter().filter(|(_, operation, _)| !operation.changes()) {
            for caller in &callers {
                self.call(*at, operation, ways, *caller).await?;
            }
            self.send_what_waits().await?;
        }
        self.state = state::of(self.client, operations, self.planted.of(Side::A)).await?;
        for may_change_a in [false, true] {
            for (at, operation, ways) in known.iter().filter(|(_, operation, _)| operation.changes()) {
                for caller in callers.iter().filter(|(_, caller)| changes_a(ways, &caller.who) == may_change_a && (caller.tries_open || !is_open(ways))) {
                    self.call(*at, operation, ways, *caller).await?;
                }
                self.send_what_waits().await?;
                if !may_change_a {
                    self.look_at_a_after(operation, "those had asked who must change nothing of A").await?;
                }
            }
        }
        for (at, operation, ways) in &known {
            self.expect_a_success(*at, operation, ways);
        }
        Ok(self.walked)
    }

    /// Whether it is about something that no request makes.
    fn lacks_doors(&self, operation: &Operation) -> bool {
        let in_path = |one: &Parameter| one.place == Place::Path && values::in_path(&operation.path, &one.name).is_some_and(|thing| Thing::MADE_BEHIND.contains(&thing));
        let in_body = |body: &Body| body.fields.iter().any(|field| values::elsewhere(&body.schema, &field.name) == Some(Filling::ResetToken));
        self.planted.no_doors.is_some() && (operation.parameters.iter().any(in_path) || operation.body.as_ref().is_some_and(in_body))
    }

    /// Whether it lists what no request makes.
    fn lacks_doors_to_fill(&self, operation: &Operation) -> bool {
        let listed = values::in_path(&format!("{}/{{id}}", operation.path), "id");
        self.planted.no_doors.is_some() && listed.is_some_and(|thing| Thing::MADE_BEHIND.contains(&thing))
    }

    /// The reading routes whose answers to A are not what they were when it was looked at last.
    async fn changed_of_a(&mut self) -> anyhow::Result<Vec<String>> {
        let now = state::of(self.client, self.operations, self.planted.of(Side::A)).await?;
        let changed = state::changed(&self.state, &now);
        self.state = now;
        Ok(changed)
    }

    /// The caller that tries everything is looked behind by itself, all others together.
    async fn look_at_a_after(&mut self, operation: &Operation, what: &str) -> anyhow::Result<()> {
        let changed = self.changed_of_a().await?;
        if !changed.is_empty() {
            self.walked.faults.push(format!("{}: after {what}, A is not what it was, by {}", operation.name(), changed.join(", ")));
        }
        Ok(())
    }

    /// Where nobody who may is answered, refusals prove nothing: what was sent may be no good.
    fn expect_a_success(&mut self, at: usize, operation: &Operation, ways: &[Way]) {
        let by_who_may: Vec<u16> = self.walked.steps.iter().filter(|step| step.operation == at && may(ways, &self.callers[step.caller].who)).map(|step| step.status).collect();
        let name = operation.name();
        if values::NOT_DONE.contains(&name.as_str()) {
            return;
        }
        let proves = |status: &u16| (200..300).contains(status) || values::PROVEN_BY.contains(&(name.as_str(), *status));
        if !by_who_may.iter().any(proves) {
            let fault = format!(
                "{}: nobody who may was answered with a success ({by_who_may:?}), so nothing is proved: its values in server/src/isolation_check/values.rs are no good",
                operation.name()
            );
            self.walked.faults.push(fault);
        }
    }

    /// One caller, with all that it sends to one operation.
    async fn call(&mut self, at: usize, operation: &'a Operation, ways: &'a [Way], caller: (usize, &Caller)) -> anyhow::Result<()> {
        progress(&format!("{} by {}", operation.name(), caller.1.name));
        let side = side_of(&caller.1.who);
        let is_operator = caller.1.who == Who::Operator;
        let is_let_in = may(ways, &caller.1.who);
        if is_let_in && values::NOT_DONE.contains(&operation.name().as_str()) {
            return Ok(());
        }
        let mut ids = match operation.changes() && is_let_in {
            true => plant::spare(self.client, self.operations, &mut self.planted, side, operation).await?,
            false => plant::ids_of(operation, self.planted.of(side))?,
        };
        let renewed = self.renewed(operation, caller.1).await?;
        if let Some((_, id)) = renewed.as_ref().filter(|_| is_let_in) {
            let session = operation.parameters.iter().filter(|one| one.place == Place::Path && values::in_path(&operation.path, &one.name) == Some(Thing::Session));
            ids.extend(session.map(|parameter| (parameter.name.clone(), id.clone())));
        }
        let renewed = renewed.map(|(caller, _)| caller);
        let caller = (caller.0, renewed.as_ref().unwrap_or(caller.1));
        self.planted.mail(self.client, side, operation).await?;
        let mut own = plant::request(self.client, operation, self.planted.of(side), &ids, is_operator)?;
        if let Some(account) = caller.1.account.as_ref().filter(|_| !is_open(ways)) {
            plant::put_password(&mut own, operation, account);
        }
        self.send(at, operation, ways, caller, Whose::Own, own, "its own values", Vec::new()).await?;
        if caller.1.who.side().is_none() {
            return Ok(());
        }
        let other = if side == Side::A { Side::B } else { Side::A };
        // The session ended with the request.
        let again = if ids.is_empty() { None } else { self.renewed(operation, caller.1).await?.map(|(caller, _)| caller) };
        let caller = (caller.0, again.as_ref().unwrap_or(caller.1));
        self.foreign_paths(at, operation, ways, caller, side, other).await?;
        if caller.1.is_thorough {
            self.each_parameter(at, operation, ways, caller, side, other).await?;
            if operation.changes() && is_let_in && !changes_a(ways, &caller.1.who) {
                self.look_at_a_after(operation, &format!("{} had asked", caller.1.name)).await?;
            }
        }
        Ok(())
    }

    /// Somebody who is logged in, with a session that was begun for a request that ends it, and its id.
    async fn renewed(&self, operation: &Operation, caller: &Caller) -> anyhow::Result<Option<(Caller, String)>> {
        let Some(account) = caller.account.as_ref().filter(|_| ENDS_SESSIONS.contains(&operation.name().as_str())) else { return Ok(None) };
        let session = people::log_in(self.client, &account.email, &account.password).await?;
        let id = people::session_id(self.client, &session).await?;
        Ok(Some((Caller { headers: caller.headers_of(&session), ..caller.clone() }, id)))
    }

    /// With another tenant's ids in the path: all of them, and where there are several each one alone.
    async fn foreign_paths(&mut self, at: usize, operation: &'a Operation, ways: &'a [Way], caller: (usize, &Caller), side: Side, other: Side) -> anyhow::Result<()> {
        let (own, theirs) = (plant::ids_of(operation, self.planted.of(side))?, plant::ids_of(operation, self.planted.of(other))?);
        let mut tries: Vec<(String, BTreeMap<String, String>)> = Vec::new();
        if !own.is_empty() {
            tries.push((format!("the path of {other:?}"), theirs.clone()));
        }
        if own.len() > 1 {
            let one_of = |name: &String| own.iter().map(|(known, id)| (known.clone(), if known == name { theirs[name].clone() } else { id.clone() })).collect();
            tries.extend(own.keys().map(|name| (format!("`{name}` of {other:?} in the path"), one_of(name))));
        }
        for (what, ids) in tries {
            // Lines have the same numbers everywhere.
            if ids == own {
                continue;
            }
            let request = plant::request(self.client, operation, self.planted.of(side), &ids, false)?;
            let sent = ids.into_values().collect();
            self.send(at, operation, ways, caller, Whose::ForeignPath, request, &what, sent).await?;
        }
        Ok(())
    }

    /// Each parameter and field alone: another tenant's where it names what somebody has, else a plain one.
    async fn each_parameter(&mut self, at: usize, operation: &'a Operation, ways: &'a [Way], caller: (usize, &Caller), side: Side, other: Side) -> anyhow::Result<()> {
        let may_change = operation.changes() && may(ways, &caller.1.who);
        for parameter in operation.parameters.iter().filter(|parameter| parameter.place != Place::Path) {
            let filling = values::elsewhere(&operation.path, &parameter.name).context("it is complete")?;
            let value = match filling {
                Filling::Cursor => match self.cursor_of(operation, ways, other).await? {
                    Some(cursor) => cursor,
                    None if values::NO_CURSOR.contains(&operation.path.as_str()) => continue,
                    None if self.lacks_doors_to_fill(operation) => {
                        self.walked.notes.push(format!("{}: no cursor was tried: {}", operation.name(), self.planted.no_doors.as_deref().unwrap_or_default()));
                        continue;
                    }
                    None => {
                        self.walked.faults.push(format!("{}: {other:?} was answered no cursor, so none could be tried: plant more of what it lists", operation.name()));
                        continue;
                    }
                },
                filling => plant::value(self.client, self.planted.of(if filling.is_somebodys() { other } else { side }), Some(filling))?,
            };
            let ids =
                if may_change { plant::spare(self.client, self.operations, &mut self.planted, side, operation).await? } else { plant::ids_of(operation, self.planted.of(side))? };
            let mut request = plant::request(self.client, operation, self.planted.of(side), &ids, false)?;
            plant::put(&mut request, parameter.place, &parameter.name, value.clone());
            let what = if filling.is_somebodys() { format!("`{}` of {other:?}", parameter.name) } else { format!("`{}`", parameter.name) };
            self.send(at, operation, ways, caller, Whose::ForeignElsewhere, request, &what, vec![value]).await?;
        }
        let Some(body) = &operation.body else { return Ok(()) };
        let of_a_log = OF_A_LOG.iter().filter(|_| body.fields.is_empty());
        let of_a_log = of_a_log.map(|(name, filling)| (super::document::Field { name: (*name).to_owned(), required: false, is_list: false }, *filling));
        let listed = body.fields.iter().filter_map(|field| Some((field.clone(), values::elsewhere(&body.schema, &field.name)?)));
        for (field, filling) in listed.chain(of_a_log) {
            let is_foreign = filling.is_somebodys_in_a_body();
            self.planted.mail(self.client, side, operation).await?;
            let value = plant::value(self.client, self.planted.of(if is_foreign { other } else { side }), Some(filling))?;
            let ids =
                if may_change { plant::spare(self.client, self.operations, &mut self.planted, side, operation).await? } else { plant::ids_of(operation, self.planted.of(side))? };
            let mut request = plant::request(self.client, operation, self.planted.of(side), &ids, false)?;
            plant::put_field(request.body.get_or_insert_default(), &field, Some(filling), &value);
            let what = if is_foreign { format!("`{}` of {other:?} in the body", field.name) } else { format!("`{}` in the body", field.name) };
            self.send(at, operation, ways, caller, Whose::ForeignElsewhere, request, &what, vec![value]).await?;
        }
        Ok(())
    }

    /// The cursor that somebody who may is answered with one thing a page.
    async fn cursor_of(&self, operation: &Operation, ways: &[Way], side: Side) -> anyhow::Result<Option<String>> {
        let tenant = self.planted.of(side);
        let is_operators = !ways.iter().any(|way| matches!(way, Way::Scopes(_)));
        let mut request = plant::request(self.client, operation, tenant, &plant::ids_of(operation, tenant)?, is_operators)?;
        if operation.parameters.iter().any(|parameter| parameter.name == "limit") {
            plant::put(&mut request, Place::Query, "limit", "1".to_owned());
        }
        if operation.parameters.iter().any(|parameter| parameter.name == "by" && parameter.place == Place::Query) {
            plant::put(&mut request, Place::Query, "by", plant::value(self.client, tenant, values::elsewhere(&operation.path, "by"))?);
        }
        let who = if is_operators { self.client.as_operator() } else { tenant.as_itself() };
        let answer = self.client.call(&who, &request).await?;
        Ok(cursor_in(&answer))
    }

    /// Sends a request, at once where its order counts: where somebody is let in to change something, or brings a session that others end.
    #[expect(clippy::too_many_arguments, reason = "all that there is to know of one request")]
    async fn send(
        &mut self,
        at: usize,
        operation: &'a Operation,
        ways: &'a [Way],
        caller: (usize, &Caller),
        whose: Whose,
        request: Request,
        what: &str,
        sent: Vec<String>,
    ) -> anyhow::Result<()> {
        let is_urgent = operation.changes() && (may(ways, &caller.1.who) || ENDS_SESSIONS.contains(&operation.name().as_str()));
        let one = ToSend { at, operation, ways, caller: (caller.0, caller.1.clone()), whose, request, what: what.to_owned(), sent };
        if is_urgent {
            let step = self.sent(one).await?;
            self.walked.steps.push(step);
        } else {
            self.waiting.push(one);
        }
        Ok(())
    }

    /// Sends what waits, several at once.
    async fn send_what_waits(&mut self) -> anyhow::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let steps: Vec<Step> = stream::iter(waiting.into_iter().map(|one| self.sent(one))).buffered(AT_ONCE).try_collect().await?;
        self.walked.steps.extend(steps);
        Ok(())
    }

    async fn sent(&self, one: ToSend<'a>) -> anyhow::Result<Step> {
        let ToSend { at, operation, ways, caller: (number, caller), whose, request, what, sent } = one;
        let who = &caller.who;
        let answer = self.client.call(&caller.headers, &request).await?;
        let told = match who {
            // Whoever has A's password or token is of A, whatever else they send.
            _ if is_open(ways) => self.planted.not_for(Some(side_of(who))),
            // It may see all.
            Who::Operator if may(ways, who) => Vec::new(),
            // They are told of themselves, in whatever tenant.
            Who::Person(person) if (person.is_guest || person.of.is_none()) && ways.iter().any(is_about_oneself) => Vec::new(),
            // Who is of no tenant sends A's ids, and may be told no more than those.
            _ => self.planted.not_for(who.side()),
        };
        let parameters = request.query.iter().chain(&request.headers).map(|(_, value)| value.clone());
        let sent: Vec<String> = sent.into_iter().chain([request.path.clone()]).chain(parameters).chain(request.body.iter().map(Value::to_string)).collect();
        let fault = judge::fault(judge::expected(operation, ways, who, whose), answer.status, &answer.whole(), &told, &sent);
        if let Some(user) = answer.json()["user_id"].as_str().filter(|_| is_open(ways)) {
            self.client.is_user(user);
        }
        Ok(Step { operation: at, caller: number, what, status: answer.status, fault })
    }
}

/// Whose values somebody sends as their own.
fn side_of(who: &Who) -> Side {
    who.side().unwrap_or(Side::A)
}

/// Whether a caller may change what A has.
fn changes_a(ways: &[Way], who: &Who) -> bool {
    let is_of_both = matches!(who, Who::Person(person) if person.is_guest && ways.iter().any(is_about_oneself));
    let is_of_a = is_of_both || *who == Who::Operator || who.side() == Some(Side::A) || (is_open(ways) && side_of(who) == Side::A);
    is_of_a && may(ways, who)
}

fn cursor_in(answer: &Answer) -> Option<String> {
    let body = answer.json();
    let said = body["next_cursor"].as_str().or_else(|| body["cursor"].as_str()).map(str::to_owned);
    said.or_else(|| answer.headers.get("x-export-cursor")?.to_str().ok().map(str::to_owned))
}
