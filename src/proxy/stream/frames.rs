//! The frames of a WebSocket, as far as one must know them to end it between two (RFC 6455 section 5).

/// The most bytes a frame's header has (section 5.2).
const LONGEST_HEADER: usize = 14;

/// How far one direction of a WebSocket has got.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    header: [u8; LONGEST_HEADER],
    /// How much of the next frame's header there is.
    known: usize,
    /// How much of the current frame's payload is still to come.
    left: u64,
}

impl Frames {
    /// Whether the last frame is whole and no other one has begun.
    pub(super) fn are_whole(&self) -> bool {
        (self.known, self.left) == (0, 0)
    }

    /// Goes on by these bytes.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = self.step(bytes);
        }
    }

    /// How many of these bytes belong to the frame that is on its way.
    pub(super) fn rest_in(&self, bytes: &[u8]) -> usize {
        let (mut frames, mut behind) = (self.clone(), bytes);
        while !frames.are_whole() && !behind.is_empty() {
            behind = frames.step(behind);
        }
        bytes.len() - behind.len()
    }

    /// Goes on to the end of a payload, or by one byte of a header.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.left > 0 {
            let taken = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.left -= taken as u64;
            return &bytes[taken..];
        }
        let Some((byte, behind)) = bytes.split_first() else { return bytes };
        self.header[self.known] = *byte;
        self.known += 1;
        if let Some(left) = payload(&self.header[..self.known]) {
            (self.left, self.known) = (left, 0);
        }
        behind
    }
}

/// The length of the payload behind a header, if the header is whole.
fn payload(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let wide = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if header.len() < 2 + wide + mask {
        return None;
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some(if wide == 0 { u64::from(second & 0x7f) } else { number(&header[2..2 + wide]) })
}

/// A close frame from a server (sections 5.5.1 and 7.4.1).
pub(super) fn close(code: u16, reason: &str) -> Vec<u8> {
    let length = u8::try_from(2 + reason.len()).ok().filter(|length| *length <= 125);
    let mut frame = vec![0x88, length.expect("a control frame carries no more than 125 bytes")];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each form of length there is, with and without a mask.
    fn frame(length: usize, form: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let first = |length: u8| mask + length;
        let mut frame = vec![0x82];
        match form {
            _ if length > 0xffff || form == 2 => {
                frame.push(first(127));
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
            _ if length > 125 || form == 1 => {
                frame.push(first(126));
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => frame.push(first(u8::try_from(length).unwrap())),
        }
        frame.extend_from_slice(if masked { &[1, 2, 3, 4] } else { &[] });
        // What it carries looks like a header.
        frame.resize(frame.len() + length, 0x81);
        frame
    }

    proptest! {
        #[test]
        fn the_end_of_each_frame_is_found_however_it_comes(
            frames in proptest::collection::vec((prop_oneof![0_usize..200, Just(65_536)], 0_usize..3, any::<bool>()), 1..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let frames: Vec<_> = frames.into_iter().map(|(length, form, masked)| frame(length, form, masked)).collect();
            let all = frames.concat();
            let cut = cut.index(all.len());
            let mut ends = frames.iter().scan(0, |end, frame| { *end += frame.len(); Some(*end) });
            let mut seen = Frames::default();
            seen.pass(&all[..cut]);
            let next = ends.find(|end| *end >= cut).unwrap();
            let is_end = next == cut || cut == 0;
            prop_assert_eq!(seen.are_whole(), is_end);
            prop_assert_eq!(seen.rest_in(&all[cut..]), if is_end { 0 } else { next - cut });
            seen.pass(&all[cut..]);
            prop_assert!(seen.are_whole());
        }
    }

    #[test]
    fn a_length_that_no_frame_can_have_is_waited_for_without_a_panic() {
        let mut frames = Frames::default();
        frames.pass(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2]);
        assert!(!frames.are_whole());
        assert_eq!(frames.rest_in(&[0; 100]), 100);
    }
}
