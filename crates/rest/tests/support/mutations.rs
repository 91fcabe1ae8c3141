//! Seeded mutations of valid samples, for tests of parsers.

/// Texts at which parsers stumble.
const SNAGS: [&str; 18] = [
    "null",
    "*",
    "\"\"",
    "-1",
    "1e999",
    "99999999999999999999",
    "\\u0000",
    "\\ud800",
    "\"*\"",
    "..",
    "[",
    "{",
    "]}",
    "true",
    "\u{0}",
    "\r\n",
    "\u{feff}",
    "äöü€𝄞",
];

/// `count` of them, the same ones each time.
pub(crate) fn mutations<'a>(samples: &'a [&'a [u8]], count: usize) -> impl Iterator<Item = Vec<u8>> + 'a {
    let mut random = Random(0x5eed);
    (0..count).map(move |_| {
        let mut bytes = random.of(samples).to_vec();
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, samples, &mut random);
        }
        bytes
    })
}

fn mutate(bytes: &mut Vec<u8>, samples: &[&[u8]], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(6) {
        0 => bytes.truncate(at),
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            let end = at + random.below(bytes.len() - at + 1);
            bytes.drain(at..end);
        }
        3 => {
            bytes.splice(at..at, random.of(&SNAGS).bytes());
        }
        4 => {
            let end = (at + random.below(200)).min(bytes.len());
            let copy: Vec<u8> = bytes[at..end].repeat(1 + random.below(10));
            bytes.splice(at..at, copy);
        }
        _ => {
            let other = random.of(samples);
            let from = random.below(other.len() + 1);
            bytes.splice(at.., other[from..].iter().copied());
        }
    }
}

/// SplitMix64, by Steele, Lea and Flood: good enough to choose, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}
