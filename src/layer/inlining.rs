//! Requests whose bodies may have to name defaults, too.

use http::header::CONTENT_TYPE;

use super::SessionLayer;
use crate::{
    error::Error,
    inline::{
        NotInlined,
        carrier::{Carried, Carrier},
        course::{self, Course},
        head::{self, Reading},
    },
    manager::{admit::Admission, in_flight::InFlightRequest, message::Outgoing},
    scope::Scope,
};

impl SessionLayer {
    /// Whether a request has a body to look at. The server looks at none without a type, and what is none of our business has no
    /// `in_flight`.
    #[inline]
    pub(crate) fn may_inline<R: Outgoing>(&self, request: &R, in_flight: &InFlightRequest) -> bool {
        self.inlines() && in_flight.is_known() && request.headers().contains_key(CONTENT_TYPE)
    }

    /// Whether the body of a request is a stream that is to be collected before its request gets a session.
    #[inline]
    pub(crate) fn collects<R: Carrier>(&self, request: &R) -> bool {
        matches!(request.carried(), Carried::Stream) && self.collects_stream(request)
    }

    fn collects_stream<R: Outgoing>(&self, request: &R) -> bool {
        self.inlines()
            && head::reading(request.headers()) == Reading::Json
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
