//! Lists of devices: which, in which order, from where on.
//!
//! A list is made anew for each page, from what the registry holds in memory: nothing is kept between
//! the pages, so a reader may stop at any of them, and a device that comes or goes meanwhile is shown
//! or not, but no other is left out or shown twice.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::DeviceId;
use proto::envelope::ErrorCode;

use super::Broker;
use super::devices::Device;
use super::registry::DeviceView;
use crate::codec::Refusal;
use crate::selector::Selector;

/// By what a list is ordered; among equals by the id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortKey {
    /// The id.
    #[default]
    Id,
    /// When it was registered.
    Created,
    /// Since when it is as it is: here, gone, or unknown.
    Since,
}

/// An order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// From the highest to the lowest.
    pub descending: bool,
}

/// What a list is to show.
#[derive(Debug, Default)]
pub struct Listing {
    /// Which devices.
    pub selector: Selector,
    /// Stands in the id, the profile or the value of a label, in whatever case; empty for all.
    pub text: String,
    /// Only those that are here, or only those that aren't or of which it is unknown.
    pub online: Option<bool>,
    /// In which order.
    pub sort: Sort,
    /// Where the page before ended; empty for the first.
    pub cursor: String,
    /// Devices of a page.
    pub limit: usize,
}

/// One page.
#[derive(Debug)]
pub struct Listed {
    /// Its devices, in order.
    pub devices: Vec<DeviceView>,
    /// How many there are on all pages together.
    pub total: usize,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// The ids of a page with their numbers in the order.
struct PageOfIds {
    ids: Vec<(u64, DeviceId)>,
    /// How many match in all.
    total: usize,
    /// Whether more follow.
    more: bool,
}

/// A device's place in an order.
type Place<'p> = (u64, &'p str);

impl Sort {
    /// Reads `id`, `created` or `since`, with `-` in front for the opposite order.
    pub fn parse(text: &str) -> Option<Self> {
        let (descending, word) = match text.strip_prefix('-') {
            Some(word) => (true, word),
            None => (false, text),
        };
        let key = match word {
            "id" => SortKey::Id,
            "created" => SortKey::Created,
            "since" => SortKey::Since,
            _ => return None,
        };
        Some(Self { key, descending })
    }

    fn number(&self, device: &Device) -> u64 {
        match self.key {
            SortKey::Id => 0,
            SortKey::Created => device.registration.created_unix_ms,
            SortKey::Since => device.presence.since_unix_ms(),
        }
    }

    fn compare(&self, one: &Place<'_>, other: &Place<'_>) -> std::cmp::Ordering {
        if self.descending { other.cmp(one) } else { one.cmp(other) }
    }
}

impl Listing {
    fn wants(&self, id: &DeviceId, device: &Device, text: &str) -> bool {
        let registration = &device.registration;
        let has_text = || {
            let mut texts = [id.as_str(), &registration.profile]
                .into_iter()
                .chain(registration.labels.values().map(String::as_str));
            text.is_empty() || texts.any(|known| known.to_lowercase().contains(text))
        };
        self.online.is_none_or(|online| online == (device.presence.online() == Some(true)))
            && has_text()
    }
}

impl Broker {
    /// One page of a list, of those that may be seen. Costs a walk over all devices, and the order of those that match.
    ///
    /// # Errors
    /// The cursor is none that a page gave, or what is stored of a device can't be read.
    pub fn list_devices(
        &self,
        listing: &Listing,
        may_see: impl Fn(&DeviceId) -> bool,
    ) -> Result<Listed, Refusal> {
        let after = match listing.cursor.as_str() {
            "" => None,
            cursor => Some(read_cursor(cursor)?),
        };
        let PageOfIds { ids, total, more } = self.page_of_ids(listing, may_see, after.as_ref())?;
        let views: Result<Vec<_>, _> = ids.iter().map(|(_, id)| self.device(id)).collect();
        let next = ids.last().filter(|_| more).map(|(number, id)| write_cursor(*number, id));
        // Who was removed in between is left out.
        Ok(Listed { devices: views?.into_iter().flatten().collect(), total, next })
    }

    fn page_of_ids(
        &self,
        listing: &Listing,
        may_see: impl Fn(&DeviceId) -> bool,
        after: Option<&(u64, String)>,
    ) -> Result<PageOfIds, Refusal> {
        let text = listing.text.to_lowercase();
        let sort = listing.sort;
        let take = |id: &DeviceId, device: &Device| {
            let wanted = listing.wants(id, device, &text) && may_see(id);
            wanted.then(|| sort.number(device))
        };
        let matching = self.select(&listing.selector, "", take)?.picked;
        let mut found: Vec<(Place<'_>, &DeviceId)> =
            matching.iter().map(|(id, number)| ((*number, id.as_str()), id)).collect();
        let total = found.len();
        if let Some((number, id)) = after {
            let after = (*number, id.as_str());
            found.retain(|(place, _)| sort.compare(place, &after).is_gt());
        }
        let more = found.len() > listing.limit;
        if more {
            // Only the page itself has to be in order.
            let by_place =
                |one: &(Place<'_>, _), other: &(Place<'_>, _)| sort.compare(&one.0, &other.0);
            found.select_nth_unstable_by(listing.limit, by_place);
            found.truncate(listing.limit);
        }
        found.sort_unstable_by(|one, other| sort.compare(&one.0, &other.0));
        let page = found.into_iter().map(|(place, id)| (place.0, id.clone())).collect();
        Ok(PageOfIds { ids: page, total, more })
    }
}

fn write_cursor(number: u64, id: &DeviceId) -> String {
    URL_SAFE_NO_PAD.encode(format!("{number} {id}"))
}

fn read_cursor(cursor: &str) -> Result<(u64, String), Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = text.as_deref().and_then(|text| text.split_once(' '));
    let read = parts.and_then(|(number, id)| Some((number.parse().ok()?, id.to_owned())));
    read.ok_or_else(|| {
        let text = "is no cursor of a page; take `next` of the page before, as it is";
        Refusal::new(ErrorCode::BadValue, "cursor", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_others_are_refused() {
        let id = DeviceId::parse("lamp-0042").expect("valid");
        assert_eq!(read_cursor(&write_cursor(7, &id)), Ok((7, "lamp-0042".to_owned())));
        for bad in ["lamp-0042", "=", "eA", "", "ä"] {
            assert_eq!(read_cursor(bad).expect_err(bad).field, "cursor");
        }
    }

    #[test]
    fn an_order_is_read_by_its_word() {
        assert_eq!(Sort::parse("id"), Some(Sort::default()));
        assert_eq!(Sort::parse("-since"), Some(Sort { key: SortKey::Since, descending: true }));
        assert_eq!(Sort::parse("name"), None);
        assert_eq!(Sort::parse("--id"), None);
    }
}
