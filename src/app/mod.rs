//! Assembly: settings become a running server, and a running server stops in order.
//!
//! Start: everything that can be wrong is checked and the socket is bound before anything runs. Stop: the doors close
//! first, then the engines, then the store commits what it has taken. A task that dies unasked ends the process.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    alert::{self, Alerts},
    analyze::{
        explain::Explainer,
        knowledge::Librarian,
        sift::Sifter,
        step::{self, Analyzer},
    },
    api::{self, Readiness, auth},
    config::Settings,
    forward::{self, Forwarder},
    incident::Correlator,
    ingest::Ingest,
    listen::{self, Bound},
    llm::{Model, Tier},
    query::{About, Query},
    rules,
    runtime::{Clock, Supervisor, TaskFailed},
    store::{self, Store, position, window},
    telemetry::Metrics,
    web,
};

/// How long engines may take to end after the doors are closed.
const ENGINES_GRACE: Duration = Duration::from_secs(20);
/// On top of the drain timeout: how long the listener itself may take.
const DOORS_GRACE: Duration = Duration::from_secs(5);

/// Why the server does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Two metrics share a name: a bug.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The socket.
    #[error(transparent)]
    Bind(#[from] listen::BindError),
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] store::OpenError),
    /// The database failed at start.
    #[error("database: {0}")]
    Store(#[from] store::StoreError),
    /// A token in the configuration cannot be used.
    #[error(transparent)]
    Token(#[from] auth::BadToken),
    /// Rule files have mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Rules(Vec<rules::RuleError>),
    /// The connection to the model cannot be set up.
    #[error("model: {0}")]
    Model(#[from] crate::net::HttpError),
    /// Forwarding cannot be set up.
    #[error("forward: {0}")]
    Forward(#[from] forward::ForwardError),
    /// Something died while running.
    #[error(transparent)]
    Task(#[from] TaskFailed),
    /// Requests or engines did not end in time; nothing acknowledged is lost.
    #[error("some tasks did not end in time and were cut off")]
    CutOff,
}

/// A running server.
pub struct App {
    address: SocketAddr,
    store: Store,
    doors: Supervisor,
    engines: Supervisor,
    readiness: Readiness,
    drain_timeout: Duration,
}

impl App {
    /// Checks, binds, opens the store and starts every engine and door.
    pub async fn start(settings: Settings) -> Result<Self, AppError> {
        let metrics = Metrics::new()?;
        let clock = Clock::system();
        let started = clock.now();
        let rules = rules::load(&settings.rules).map_err(AppError::Rules)?;
        let authenticator = auth::Authenticator::new(&settings.auth)?;
        let bound = listen::bind(&settings.listen).await?;
        let store = Store::open(&settings.store, clock.clone(), metrics.store.clone())?;

        let engines = Supervisor::default();
        let workshop = Workshop {
            settings: &settings,
            store: &store,
            clock: &clock,
            metrics: &metrics,
            engines: &engines,
        };
        workshop.start_maintenance();
        workshop.start_librarian();
        let model = workshop.start_explainer().await?;
        workshop.start_analysis(Sifter::new(rules)).await?;
        // Before the correlation: what it finds from now on is told.
        let alert = workshop.start_alerts().await?;
        workshop.start_correlation();
        workshop.start_forward().await?;

        let doors = Supervisor::default();
        let readiness = Readiness::default();
        let about = About {
            started,
            model,
            budget: settings.explain.budget.clone(),
            forward: settings.forward.is_some(),
        };
        let query = Query::new(store.clone(), clock.clone(), about);
        let ingest =
            Ingest::new(settings.ingest.clone(), store.clone(), clock.clone(), metrics.ingest.clone());
        let parts = api::Parts {
            store: store.clone(),
            query: query.clone(),
            alert,
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            stop: doors.stop_token(),
            push: api::push::routes(ingest),
            web: web::routes(query),
        };
        let router = api::router(parts, |router| auth::layer(router, authenticator));
        let app = App {
            address: bound.addr(),
            store,
            doors,
            engines,
            readiness,
            drain_timeout: settings.listen.drain_timeout,
        };
        app.open_doors(bound, router, &metrics);
        Ok(app)
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until `shutdown` resolves or a task dies, then stops in order.
    pub async fn wait(self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        let died = tokio::select! {
            () = shutdown => None,
            failed = self.doors.failure() => failed,
            failed = self.engines.failure() => failed,
        };
        let is_clean = self.stop().await;
        match (died, is_clean) {
            (Some(failed), _) => Err(AppError::Task(failed)),
            (None, true) => Ok(()),
            (None, false) => Err(AppError::CutOff),
        }
    }

    fn open_doors(&self, bound: Bound, router: axum::Router, metrics: &Metrics) {
        let (stop, http) = (self.doors.stop_token(), metrics.http.clone());
        self.doors.spawn("http", async move {
            bound.serve(router, stop, http).await;
            Ok::<(), std::convert::Infallible>(())
        });
        self.readiness.ready();
        tracing::info!(address = %self.address, "listening");
    }

    /// Doors, engines, store: each waits for the one before. Says whether all ended in time.
    async fn stop(self) -> bool {
        self.readiness.stopping();
        let doors = self.doors.stop(self.drain_timeout + DOORS_GRACE).await;
        let engines = self.engines.stop(ENGINES_GRACE).await;
        self.store.close().await;
        doors && engines
    }
}

/// What every engine is made from.
struct Workshop<'a> {
    settings: &'a Settings,
    store: &'a Store,
    clock: &'a Clock,
    metrics: &'a Metrics,
    engines: &'a Supervisor,
}

impl Workshop<'_> {
    /// Compaction and retention.
    fn start_maintenance(&self) {
        let maintenance =
            store::maintain(self.store.clone(), self.settings.store.clone(), self.engines.stop_token());
        self.engines.spawn("maintain", maintenance);
    }

    /// The engine that reads the knowledge folder; without one it forgets the files of an earlier one and ends.
    fn start_librarian(&self) {
        let librarian =
            Librarian::new(self.store.clone(), self.settings.knowledge.clone(), self.clock.clone());
        self.engines.spawn("knowledge", librarian.run(self.engines.stop_token()));
    }

    /// The engine that asks the model, where one is configured; says which model that is.
    async fn start_explainer(&self) -> Result<Option<String>, AppError> {
        let Some(configured) = &self.settings.llm else {
            // What waited for a model that was configured once waits no longer, and what it would have seen is not kept.
            self.store.write(window::release).await?;
            return Ok(None);
        };
        let model = Model::new(configured.clone(), self.clock.clone())?;
        let name = model.full_name(Tier::Explain);
        let explainer = Explainer::new(
            self.store.clone(),
            model,
            self.settings.explain.clone(),
            self.clock.clone(),
            self.metrics.llm.clone(),
        );
        self.engines.spawn("explain", explainer.run(self.engines.stop_token()));
        Ok(Some(name))
    }

    async fn start_analysis(&self, sifter: Sifter) -> Result<(), AppError> {
        if !self.settings.analyze.enabled {
            // Without an analysis its old position must hold nothing back.
            return Ok(self.store.write(|tx| position::remove(tx, position::name::ANALYZE)).await?);
        }
        let mut settings = self.settings.analyze.clone();
        settings.ask_model = self.settings.llm.is_some();
        let (store, clock, metrics) = (self.store.clone(), self.clock.clone(), self.metrics.analyze.clone());
        let restored = tokio::task::spawn_blocking(move || {
            Analyzer::restore(store, Arc::new(sifter), settings, clock, metrics)
        });
        let died = |join: tokio::task::JoinError| TaskFailed { task: "analyze", cause: join.to_string() };
        let analyzer = restored.await.map_err(died)??;
        self.engines.spawn("analyze", step::run(analyzer, self.engines.stop_token()));
        Ok(())
    }

    /// The engine that joins findings into incidents.
    fn start_correlation(&self) {
        let correlator = Correlator::new(
            self.store.clone(),
            self.settings.incident.clone(),
            self.clock.clone(),
            self.metrics.incident.clone(),
        );
        self.engines.spawn("incident", correlator.run(self.engines.stop_token()));
    }

    /// The engine that tells people, where there is a channel to tell them over.
    async fn start_alerts(&self) -> Result<alert::Handle, AppError> {
        let channels = self.settings.channels.clone();
        if channels.is_empty() {
            alert::forget(self.store, self.clock.now()).await?;
            return Ok(alert::Handle::default());
        }
        let settings = self.settings.alert.clone();
        let alerts = Alerts::new(self.store, settings, channels, self.clock, &self.metrics.alert).await?;
        self.engines.spawn("alert", alerts.follower.run(self.engines.stop_token()));
        for sender in alerts.senders {
            self.engines.spawn("channel", sender.run(self.engines.stop_token()));
        }
        Ok(alerts.handle)
    }

    async fn start_forward(&self) -> Result<(), AppError> {
        let Some(configured) = &self.settings.forward else {
            // Without a forwarder its old position must hold nothing back.
            return Ok(forward::forget(self.store).await?);
        };
        let forwarder =
            Forwarder::new(self.store.clone(), configured, self.metrics.forward.clone(), self.clock.clone())?;
        self.engines.spawn("forward", forwarder.run(self.engines.stop_token()));
        Ok(())
    }
}
