//! `Cookie` in, `Set-Cookie` out.

/// How our cookie is named and which attributes it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name, such as `__Host-sid`.
    pub name: String,
    /// Whether it carries `Secure`; `__Host-` and `__Secure-` names require it.
    pub secure: bool,
    /// Its `SameSite` attribute.
    pub same_site: SameSite,
    /// Its `Domain` attribute; host-only without one, as `__Host-` names require.
    pub domain: Option<String>,
    /// Its `Path` attribute.
    pub path: String,
}

/// RFC 6265bis section 4.1.2.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent on same-site requests and top-level navigations.
    Lax,
    /// Sent on same-site requests only.
    Strict,
    /// Sent always; browsers require `Secure` with it.
    None,
}
