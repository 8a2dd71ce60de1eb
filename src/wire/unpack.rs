//! Decompression with a cap: announced sizes are checked before anything is allocated, unannounced ones while reading.

use std::io::{BufReader, Read};

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::push::{DecodeError, Encoding};

/// Largest window a zstd frame may ask for, as a power of two: 8 MiB, what zstd's own levels up to 19 use.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// No snappy element expands more than this: three bytes copy at most 64.
const SNAPPY_MAX_EXPANSION: usize = 22;

/// First guess at the size of a decompressed body, in multiples of the compressed one.
const EXPECTED_EXPANSION: usize = 4;

/// Takes off the content encoding. `Snappy` is left on: protobuf bodies are snappy anyway, JSON bodies are not.
pub(super) fn unpack(encoding: Encoding, body: Bytes, max: usize) -> Result<Bytes, DecodeError> {
    match encoding {
        Encoding::Identity | Encoding::Snappy if body.len() > max => {
            Err(DecodeError::TooLarge { size: body.len(), max })
        }
        Encoding::Identity | Encoding::Snappy => Ok(body),
        Encoding::Gzip => read_capped("gzip", MultiGzDecoder::new(body.as_ref()), body.len(), max),
        Encoding::Deflate => inflate(&body, max),
        Encoding::Zstd => {
            let failed = |error: std::io::Error| damaged("zstd", &error);
            let mut decoder =
                zstd::Decoder::with_buffer(BufReader::with_capacity(body.len().min(8_192), body.as_ref()))
                    .map_err(failed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(failed)?;
            read_capped("zstd", decoder, body.len(), max)
        }
        // A frame's blocks are 8 MiB at most, whatever its head announces.
        Encoding::Lz4 => {
            read_capped("lz4", lz4_flex::frame::FrameDecoder::new(body.as_ref()), body.len(), max)
        }
    }
}

/// Takes the snappy block off a protobuf message; a bare message passes as it is.
pub(super) fn unsnap_protobuf(body: Bytes, max: usize) -> Result<Bytes, DecodeError> {
    match unsnap(&body, max) {
        // Field 1, length-delimited: how every bare `PushRequest` begins.
        Err(DecodeError::Snappy) if body.first() == Some(&0x0a) => Ok(body),
        unpacked => unpacked,
    }
}

/// Decompresses one raw snappy block.
pub(super) fn unsnap(block: &[u8], max: usize) -> Result<Bytes, DecodeError> {
    if block.is_empty() {
        return Err(DecodeError::Empty);
    }
    let announced = snap::raw::decompress_len(block).map_err(|_| DecodeError::Snappy)?;
    if announced / SNAPPY_MAX_EXPANSION > block.len() {
        return Err(DecodeError::Snappy);
    }
    if announced > max {
        return Err(DecodeError::TooLarge { size: announced, max });
    }
    let mut plain = vec![0; announced];
    snap::raw::Decoder::new().decompress(block, &mut plain).map_err(|_| DecodeError::Snappy)?;
    Ok(plain.into())
}

/// `deflate` means raw RFC 1951 to Loki's clients and the zlib wrapper to Vector (and to RFC 9110).
fn inflate(body: &[u8], max: usize) -> Result<Bytes, DecodeError> {
    let is_zlib = match *body {
        [cmf, flg, ..] => cmf & 0x0f == 8 && u16::from_be_bytes([cmf, flg]) % 31 == 0,
        _ => false,
    };
    if is_zlib {
        match read_capped("deflate", ZlibDecoder::new(body), body.len(), max) {
            // Raw deflate may begin with the same two bytes.
            Err(DecodeError::Compressed { .. } | DecodeError::Empty) => {}
            unpacked => return unpacked,
        }
    }
    read_capped("deflate", DeflateDecoder::new(body), body.len(), max)
}

fn read_capped(
    encoding: &'static str,
    reader: impl Read,
    packed: usize,
    max: usize,
) -> Result<Bytes, DecodeError> {
    let mut plain = Vec::with_capacity(packed.saturating_mul(EXPECTED_EXPANSION).min(max));
    let cap = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(cap).read_to_end(&mut plain).map_err(|error| damaged(encoding, &error))?;
    if plain.len() > max {
        return Err(DecodeError::TooLarge { size: plain.len(), max });
    }
    Ok(plain.into())
}

fn damaged(encoding: &'static str, error: &std::io::Error) -> DecodeError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => DecodeError::Empty,
        _ => DecodeError::Compressed { encoding, cause: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write};

    use super::*;

    const MAX: usize = 1 << 20;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = write::GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    fn lz4(plain: &[u8]) -> Bytes {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn every_encoding_gives_back_what_was_packed() {
        let plain = b"the same line, the same line, the same line".as_slice();
        let mut raw = write::DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(plain).unwrap();
        let mut zlib = write::ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(plain).unwrap();
        for (encoding, packed) in [
            (Encoding::Identity, Bytes::from_static(plain)),
            (Encoding::Gzip, gzip(plain)),
            (Encoding::Deflate, raw.finish().unwrap().into()),
            (Encoding::Deflate, zlib.finish().unwrap().into()),
            (Encoding::Zstd, zstd::encode_all(plain, 3).unwrap().into()),
            (Encoding::Lz4, lz4(plain)),
        ] {
            assert_eq!(unpack(encoding, packed, MAX).unwrap(), plain, "{encoding:?}");
        }
        let packed = snap::raw::Encoder::new().compress_vec(plain).unwrap();
        assert_eq!(unsnap(&packed, MAX).unwrap(), plain);
    }

    #[test]
    fn a_snappy_header_that_lies_is_refused_before_it_costs_memory() {
        // Announces 4 GiB - 1 and carries nothing.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
        assert_eq!(unsnap(&bomb, MAX), Err(DecodeError::Snappy));
        let honest = snap::raw::Encoder::new().compress_vec(&vec![0; MAX + 1]).unwrap();
        assert_eq!(unsnap(&honest, MAX), Err(DecodeError::TooLarge { size: MAX + 1, max: MAX }));
    }

    #[test]
    fn bombs_are_cut_off_at_the_cap() {
        let zeros = vec![0; 16 * MAX];
        let zstd = zstd::encode_all(zeros.as_slice(), 3).unwrap();
        let bombs =
            [(Encoding::Gzip, gzip(&zeros)), (Encoding::Zstd, zstd.into()), (Encoding::Lz4, lz4(&zeros))];
        for (encoding, bomb) in bombs {
            assert!(bomb.len() < MAX / 8);
            let too_large = DecodeError::TooLarge { size: MAX + 1, max: MAX };
            assert_eq!(unpack(encoding, bomb, MAX), Err(too_large), "{encoding:?}");
        }
    }

    #[test]
    fn a_cut_off_body_is_an_end_of_file() {
        let packed = gzip(b"some text that is cut");
        assert_eq!(unpack(Encoding::Gzip, packed.slice(..packed.len() - 9), MAX), Err(DecodeError::Empty));
        assert_eq!(unpack(Encoding::Gzip, Bytes::new(), MAX), Err(DecodeError::Empty));
        assert_eq!(unsnap(b"", MAX), Err(DecodeError::Empty));
    }

    #[test]
    fn a_bare_message_passes_when_snappy_does_not_fit() {
        let bare = Bytes::from_static(b"\x0a\x02\x0a\x00");
        assert_eq!(unsnap_protobuf(bare.clone(), MAX).unwrap(), bare);
        assert_eq!(unsnap_protobuf(Bytes::from_static(b"nonsense"), MAX), Err(DecodeError::Snappy));
    }
}
