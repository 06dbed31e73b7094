//! A sequential reader of a stream, for everything that takes a `rand` generator.

use core::convert::Infallible;
use core::fmt;

use rand_core::{SeedableRng, TryRng};

use super::fill_bits;
use crate::Isa;

const BUFFER: usize = 64;

/// Reads the 32-bit words of one stream in order; implements `rand_core`'s `Rng` and
/// `SeedableRng`.
///
/// The next word is word [`Philox::position`]; a 64-bit number is two words, low half first, at
/// any position, and bytes are words in little-endian order, of which the last is used up even if
/// only a part of it was asked for. The words are those of [`fill_bits`], on every instruction set.
#[derive(Clone)]
pub struct Philox {
    isa: Isa,
    seed: u64,
    stream: u64,
    /// Index of the first word behind the buffer.
    behind: u64,
    /// Words of the buffer that are used up.
    used: usize,
    buffer: [u32; BUFFER],
}

impl Philox {
    /// A reader at word 0 of a stream.
    #[must_use]
    pub fn new(isa: Isa, seed: u64, stream: u64) -> Self {
        Self { isa, seed, stream, behind: 0, used: BUFFER, buffer: [0; BUFFER] }
    }

    /// Index of the word that comes next.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.behind.wrapping_sub((BUFFER - self.used) as u64)
    }

    /// Continues at word `position`, as a reader that has read that far.
    pub fn seek(&mut self, position: u64) {
        self.behind = position;
        self.used = BUFFER;
    }

    /// The key.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The high half of the counter.
    #[must_use]
    pub fn stream(&self) -> u64 {
        self.stream
    }

    #[inline]
    fn word(&mut self) -> u32 {
        if self.used == BUFFER {
            fill_bits(self.isa, self.seed, self.stream, self.behind, &mut self.buffer);
            self.behind = self.behind.wrapping_add(BUFFER as u64);
            self.used = 0;
        }
        self.used += 1;
        self.buffer[self.used - 1]
    }
}

/// Key and stream, without the words to come.
impl fmt::Debug for Philox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Philox")
            .field("seed", &self.seed)
            .field("stream", &self.stream)
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

impl TryRng for Philox {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = u64::from(self.word());
        Ok(low | u64::from(self.word()) << 32)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for bytes in out.chunks_mut(4) {
            bytes.copy_from_slice(&self.word().to_le_bytes()[..bytes.len()]);
        }
        Ok(())
    }
}

/// The seed's first 8 bytes are the key, the last 8 the stream, both little-endian; the
/// instruction set is [`Isa::current`].
impl SeedableRng for Philox {
    type Seed = [u8; 16];

    fn from_seed(seed: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(seed);
        #[allow(clippy::cast_possible_truncation)]
        Self::new(Isa::current(), number as u64, (number >> 64) as u64)
    }
}
