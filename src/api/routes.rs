//! Routes that know their own names: the router and the list that the OpenAPI document is checked against are made
//! by the same call, so neither can have what the other lacks.

use axum::{
    Router,
    handler::Handler,
    routing::{delete, get, patch, post, put},
};

/// A router and what was put into it.
pub struct Routes<S> {
    /// The router.
    pub router: Router<S>,
    /// Method (lower case) and path of every route.
    pub listed: Vec<(&'static str, &'static str)>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes.
    pub fn new() -> Self {
        Routes { router: Router::new(), listed: Vec::new() }
    }

    /// Adds `GET path`.
    #[must_use]
    pub fn get<H: Handler<T, S>, T: 'static>(mut self, path: &'static str, handler: H) -> Self {
        self.listed.push(("get", path));
        Routes { router: self.router.route(path, get(handler)), listed: self.listed }
    }

    /// Adds `PATCH path`.
    #[must_use]
    pub fn patch<H: Handler<T, S>, T: 'static>(mut self, path: &'static str, handler: H) -> Self {
        self.listed.push(("patch", path));
        Routes { router: self.router.route(path, patch(handler)), listed: self.listed }
    }

    /// Adds `POST path`.
    #[must_use]
    pub fn post<H: Handler<T, S>, T: 'static>(mut self, path: &'static str, handler: H) -> Self {
        self.listed.push(("post", path));
        Routes { router: self.router.route(path, post(handler)), listed: self.listed }
    }

    /// Adds `PUT path`.
    #[must_use]
    pub fn put<H: Handler<T, S>, T: 'static>(mut self, path: &'static str, handler: H) -> Self {
        self.listed.push(("put", path));
        Routes { router: self.router.route(path, put(handler)), listed: self.listed }
    }

    /// Adds `DELETE path`.
    #[must_use]
    pub fn delete<H: Handler<T, S>, T: 'static>(mut self, path: &'static str, handler: H) -> Self {
        self.listed.push(("delete", path));
        Routes { router: self.router.route(path, delete(handler)), listed: self.listed }
    }
}
