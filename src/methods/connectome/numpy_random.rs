//! The shuffle of NumPy's legacy generator, in which published partitions are defined.

/// MT19937 as `numpy.random.RandomState(seed)` seeds and reads it.
///
/// Source: Matsumoto and Nishimura 1998; initialisation of 2002.
struct MersenneTwister {
    state: [u32; 624],
    next: usize,
}

impl MersenneTwister {
    fn new(seed: u32) -> Self {
        let mut state = [0; 624];
        state[0] = seed;
        for i in 1..624 {
            let last: u32 = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: 624 }
    }

    fn word(&mut self) -> u32 {
        if self.next == 624 {
            for i in 0..624 {
                let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % 624] & 0x7fff_ffff);
                let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + 397) % 624] ^ (y >> 1) ^ twist;
            }
            self.next = 0;
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// Uniform on 0..=most, by rejection below the next power of two.
    fn interval(&mut self, most: u32) -> u32 {
        let mask = most
            .checked_next_power_of_two()
            .map_or(u32::MAX, |p| if p == most { (p << 1).wrapping_sub(1) } else { p - 1 });
        if most == 0 {
            return 0;
        }
        loop {
            let value = self.word() & mask;
            if value <= most {
                return value;
            }
        }
    }
}

/// `numpy.random.RandomState(seed).permutation(n)`, which is also the order in which
/// `sklearn.model_selection.KFold(shuffle=True, random_state=seed)` takes its samples.
pub(super) fn permutation(seed: u32, n: usize) -> Vec<usize> {
    let mut generator = MersenneTwister::new(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        let j = generator.interval(u32::try_from(i).unwrap_or(u32::MAX));
        order.swap(i, j as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_are_those_of_the_reference() {
        // init_genrand(5489) of mt19937ar.c, the default seed of the C++ standard's generator, whose
        // 10,000th word the standard states.
        let mut generator = MersenneTwister::new(5489);
        assert_eq!(generator.word(), 3_499_211_612);
        let word = (1..10_000).map(|_| generator.word()).last();
        assert_eq!(word, Some(4_123_659_995));
    }
}
