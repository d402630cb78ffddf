//! Requests whose bodies may have to name defaults, too.

use http::header::CONTENT_TYPE;

use super::SessionLayer;
use crate::{
    error::Error,
    inline::{
        NotInlined,
        carrier::Carrier,
        course::{self, Course},
        head::{self, Reading},
    },
    manager::{admit::Admission, in_flight::InFlightRequest, message::Outgoing},
    scope::Scope,
};

impl SessionLayer {
    /// Whether there is a body to look at. The server looks at none without a type.
    #[inline]
    pub(crate) fn may_inline<R: Outgoing>(&self, request: &R) -> bool {
        self.inlines() && request.headers().contains_key(CONTENT_TYPE)
    }

    /// Whether a body that is a stream is to be collected before its request is given a session.
    pub(crate) fn collects<R: Outgoing>(&self, request: &R) -> bool {
        head::reading(request.headers()) == Reading::Json
            && self.scope(request) == Scope::Sipher
            && !request.opted_out()
    }

    /// Decides about a request, and puts in what is at hand. `unread` says why its body could not be collected.
    pub(crate) fn set_out<R: Carrier>(
        &self,
        request: &mut R,
        unread: Option<NotInlined>,
    ) -> Result<Course, Error> {
        match self.admit(request)? {
            Admission::Send(in_flight) => self.beside(request, in_flight, unread),
            Admission::Wait(waiting) => course::instead(self.manager(), request, waiting, unread),
        }
    }

    /// Goes on with a request that has what it was to get.
    pub(crate) fn beside<R: Carrier>(
        &self,
        request: &mut R,
        in_flight: InFlightRequest,
        unread: Option<NotInlined>,
    ) -> Result<Course, Error> {
        course::beside(self.manager(), request, in_flight, unread)
    }
}
