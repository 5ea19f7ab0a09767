//! Thrift's compact protocol, in which Parquet writes what it states of a file.

/// The types of fields.
pub(super) const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
pub(super) const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
pub(super) const STRUCT: u8 = 12;

/// The deepest nesting that is stepped over.
const DEEPEST: usize = 16;

/// What is left to read. Every method returns `None` where the bytes do not fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    /// A number of seven bits a byte, the lowest first.
    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A whole number of any width.
    pub(super) fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number that counts or measures something.
    pub(super) fn size(&mut self) -> Option<usize> {
        usize::try_from(self.integer()?).ok()
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.varint()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// Reads a structure: `field` reads the fields that it knows, by number and type, and
    /// returns whether it did; others are stepped over.
    pub(super) fn fields(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, u8) -> Option<bool>,
    ) -> Option<()> {
        let mut number = 0_i64;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Some(());
            }
            number = match header >> 4 {
                0 => self.integer()?,
                step => number.checked_add(i64::from(step))?,
            };
            let kind = header & 0x0f;
            if !field(self, number, kind)? {
                self.skip(kind, DEEPEST)?;
            }
        }
    }

    /// Reads the elements of a list one by one. Each takes a byte at least, so that a list is
    /// never longer than the bytes that are there.
    pub(super) fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let (count, _) = self.list_header()?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Some(elements)
    }

    fn list_header(&mut self) -> Option<(usize, u8)> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            short => usize::from(short),
        };
        (count <= self.0.len()).then_some((count, header & 0x0f))
    }

    fn skip(&mut self, kind: u8, deepest: usize) -> Option<()> {
        let deepest = deepest.checked_sub(1)?;
        match kind {
            TRUE | FALSE => {}
            BYTE => drop(self.byte()?),
            4..=6 => drop(self.varint()?),
            DOUBLE => drop(self.take(8)?),
            BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.take(length)?;
            }
            LIST | SET => {
                let (count, kind) = self.list_header()?;
                for _ in 0..count {
                    self.skip_element(kind, deepest)?;
                }
            }
            MAP => {
                let count = usize::try_from(self.varint()?).ok()?;
                if count > self.0.len() {
                    return None;
                }
                if count > 0 {
                    let kinds = self.byte()?;
                    for _ in 0..count {
                        self.skip_element(kinds >> 4, deepest)?;
                        self.skip_element(kinds & 0x0f, deepest)?;
                    }
                }
            }
            STRUCT => {
                loop {
                    let header = self.byte()?;
                    if header == 0 {
                        break;
                    }
                    if header >> 4 == 0 {
                        // The field's number, in full.
                        self.integer()?;
                    }
                    self.skip(header & 0x0f, deepest)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// In a list, true and false are a byte each.
    fn skip_element(&mut self, kind: u8, deepest: usize) -> Option<()> {
        match kind {
            TRUE | FALSE => self.byte().map(drop),
            _ => self.skip(kind, deepest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_zigzag_and_lists_no_longer_than_their_bytes() {
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x01], -1),
            (&[0x02], 1),
            (&[0xac, 0x02], 150),
        ] {
            assert_eq!(Reader(bytes).integer(), Some(value));
        }
        assert_eq!(Reader(&[0xff; 11]).varint(), None);
        assert_eq!(Reader(&[0x80]).varint(), None);
        // A list of 2^32 elements in 7 bytes.
        let endless = [0xf5, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
        assert_eq!(Reader(&endless).list(Reader::integer), None);
        assert_eq!(
            Reader(&[0x35, 2, 4, 6]).list(Reader::integer),
            Some(vec![1, 2, 3])
        );
    }

    #[test]
    fn fields_that_are_not_known_are_stepped_over() {
        // 1: a list of a structure of a map, 4: the number 7, 5: a text, then the end.
        let bytes = [
            0x19, 0x1c, 0x1b, 0x01, 0x85, 0x01, 0x61, 0x02, 0x00, 0x35, 0x0e, 0x18, 0x01, 0x62,
            0x00,
        ];
        let (mut number, mut text) = (None, None);
        let read = Reader(&bytes).fields(|reader, field, _| {
            match field {
                4 => number = Some(reader.integer()?),
                5 => text = Some(reader.text()?),
                _ => return Some(false),
            }
            Some(true)
        });
        assert_eq!(
            (read, number, text.as_deref()),
            (Some(()), Some(7), Some("b"))
        );
        for length in 0..bytes.len() {
            assert_eq!(Reader(&bytes[..length]).fields(|_, _, _| Some(false)), None);
        }
        // Structures in structures, without end.
        assert_eq!(Reader(&[0x1c; 100]).fields(|_, _, _| Some(false)), None);
    }
}
