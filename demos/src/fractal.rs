//! Fractal: an element draws a part of the Mandelbrot set, a few hundred points
//! a message. Now and then it leaves with the client, as a cookie, what is drawn
//! and which point is next; the next element goes on from there. Points that
//! were sent after the last cookie come again, and are the same.

use std::io;
use std::time::{Duration, Instant};

use rserpool_client::session::{Event, ServerEvent, ServerSession, Session};

use crate::Error;
use crate::octets::{Reader, open, seal};

/// The usual pool handle.
pub const POOL: &str = "FractalGeneratorPool";
/// The payload protocol identifier.
pub const PPID: u32 = 32;

const PARAMETER: u8 = 1;
const DATA: u8 = 2;
/// What a cookie begins with.
const COOKIE: &[u8; 8] = b"<FG-TD1>";
/// Points in a message.
const POINTS_MAX: usize = 324;
/// Where the last message, which has no points, says it begins.
const END: u32 = u32::MAX;
/// Messages, and time, from one cookie to the next.
const COOKIE_MESSAGES: u32 = 10;
const COOKIE_TIME: Duration = Duration::from_secs(1);
/// Points are sent after this time, however few they are.
const DATA_TIME: Duration = Duration::from_secs(1);
/// Steps until another task has its turn.
const STEPS_A_TURN: u32 = 200_000;
/// The largest images and numbers of steps that are drawn.
const SIDE_MAX: u32 = 65_536;
const STEPS_MAX: u32 = 1_000_000;

/// How a point moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// z² - c.
    Mandelbrot,
    /// zⁿ - c.
    MandelbrotN,
    /// A pattern without a meaning, for tests: rsplib's service draws it for
    /// algorithms that it does not know.
    Pattern,
}

/// An image to be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Image {
    /// Points a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Steps until a point counts as one of the set.
    pub steps_max: u32,
    /// How points move.
    pub algorithm: Algorithm,
    /// The corner where it begins, real and imaginary.
    pub first: (f64, f64),
    /// The opposite corner.
    pub last: (f64, f64),
    /// The exponent of [`Algorithm::MandelbrotN`].
    pub n: f64,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            width: 400,
            height: 300,
            steps_max: 255,
            algorithm: Algorithm::Mandelbrot,
            first: (-0.6, 1.2),
            last: (2.0, -1.2),
            n: 2.0,
        }
    }
}

impl Image {
    fn to_bytes(self) -> Vec<u8> {
        let algorithm = match self.algorithm {
            Algorithm::Pattern => 0,
            Algorithm::Mandelbrot => 1,
            Algorithm::MandelbrotN => 2,
        };
        let mut body = Vec::new();
        for number in [self.width, self.height, self.steps_max, algorithm] {
            body.extend(number.to_be_bytes());
        }
        for number in [self.first.0, self.first.1, self.last.0, self.last.1, self.n] {
            body.extend(number.to_be_bytes());
        }
        // 60 bytes are not too many.
        seal(PARAMETER, &body).unwrap_or_default()
    }

    /// Reads the fields behind the header, and refuses what is too large.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (width, height, steps_max) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let algorithm = match reader.u32()? {
            1 => Algorithm::Mandelbrot,
            2 => Algorithm::MandelbrotN,
            _ => Algorithm::Pattern,
        };
        let first = (reader.f64()?, reader.f64()?);
        let last = (reader.f64()?, reader.f64()?);
        let n = reader.f64()?;
        let fits = width <= SIDE_MAX && height <= SIDE_MAX && steps_max <= STEPS_MAX;
        fits.then_some(Self { width, height, steps_max, algorithm, first, last, n })
    }

    fn from_bytes(message: &[u8]) -> Option<Self> {
        let (PARAMETER, mut reader) = open(message)? else { return None };
        Self::read(&mut reader)
    }

    /// After how many steps the point leaves the circle of radius √2.
    fn point(&self, x: u32, y: u32) -> u32 {
        let along = |from: f64, to: f64, at: u32, of: u32| {
            from + f64::from(at) * ((to - from) / f64::from(of))
        };
        let c = (
            along(self.first.0, self.last.0, x, self.width),
            along(self.first.1, self.last.1, y, self.height),
        );
        let square = |z: (f64, f64)| (z.0 * z.0 - z.1 * z.1, 2.0 * z.0 * z.1);
        let power = |z: (f64, f64)| {
            let (radius, angle) = (z.0.hypot(z.1).powf(self.n), z.1.atan2(z.0) * self.n);
            (radius * angle.cos(), radius * angle.sin())
        };
        let mut z = (0.0_f64, 0.0_f64);
        for step in 0..self.steps_max {
            let moved = match self.algorithm {
                Algorithm::Mandelbrot => square(z),
                Algorithm::MandelbrotN => power(z),
                Algorithm::Pattern => return x.wrapping_mul(y) % 256,
            };
            z = (moved.0 - c.0, moved.1 - c.1);
            if z.0 * z.0 + z.1 * z.1 >= 2.0 {
                return step;
            }
        }
        self.steps_max
    }
}

/// An image, and the point that is next.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Work {
    image: Image,
    x: u32,
    y: u32,
}

impl Work {
    fn to_cookie(self) -> Vec<u8> {
        let mut cookie = COOKIE.to_vec();
        cookie.extend(self.image.to_bytes());
        cookie.extend(self.x.to_be_bytes());
        cookie.extend(self.y.to_be_bytes());
        cookie
    }

    fn from_cookie(cookie: &[u8]) -> Option<Self> {
        let mut reader = Reader(cookie.strip_prefix(COOKIE)?);
        // rsplib's cookies have another length there.
        let [PARAMETER, ..] = reader.take::<4>()? else { return None };
        let image = Image::read(&mut reader)?;
        let work = Self { image, x: reader.u32()?, y: reader.u32()? };
        reader.0.is_empty().then_some(work)
    }

    /// The next point and its number of steps; `None` behind the last one.
    fn step(&mut self) -> Option<(u32, u32, u32)> {
        if self.x >= self.image.width {
            (self.x, self.y) = (0, self.y.saturating_add(1));
        }
        if self.y >= self.image.height || self.image.width == 0 {
            return None;
        }
        let (x, y) = (self.x, self.y);
        self.x += 1;
        Some((x, y, self.image.point(x, y)))
    }
}

/// Points in a row, from left to right and line after line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Points {
    x: u32,
    y: u32,
    steps: Vec<u32>,
}

impl Points {
    fn to_bytes(&self) -> Vec<u8> {
        let count = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let numbers = [self.x, self.y, count].into_iter().chain(self.steps.iter().copied());
        let body: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
        // As many as POINTS_MAX fit.
        seal(DATA, &body).unwrap_or_default()
    }

    fn from_bytes(message: &[u8]) -> Option<Self> {
        let (DATA, mut reader) = open(message)? else { return None };
        let (x, y, count) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let steps = std::iter::from_fn(|| reader.u32());
        let steps: Vec<u32> = steps.take(usize::try_from(count).ok()?).collect();
        (u32::try_from(steps.len()) == Ok(count)).then_some(Self { x, y, steps })
    }
}

/// Serves one session: each image that is asked for, or the rest of one. Pauses
/// so long after each message with points.
///
/// # Errors
/// The association failed, or the client does not keep to the protocol or wants
/// too much, which ends the session.
pub async fn serve(mut session: ServerSession, pause: Duration) -> io::Result<()> {
    while let Some(event) = session.receive().await? {
        let work = match &event {
            ServerEvent::CookieEcho(cookie) => Work::from_cookie(cookie),
            ServerEvent::Message { data, .. } => {
                Image::from_bytes(data).map(|image| Work { image, x: 0, y: 0 })
            }
        };
        let Some(work) = work else {
            session.abort();
            return Err(io::ErrorKind::InvalidData.into());
        };
        draw(&mut session, work, pause).await?;
    }
    Ok(())
}

async fn draw(session: &mut ServerSession, mut work: Work, pause: Duration) -> io::Result<()> {
    session.send_cookie(&work.to_cookie()).await?;
    let (mut sent, mut saved, mut messages) = (Instant::now(), Instant::now(), 0);
    let (mut points, mut steps) = (Points::default(), 0);
    loop {
        let point = work.step();
        if let Some((x, y, color)) = point {
            if points.steps.is_empty() {
                (points.x, points.y) = (x, y);
            }
            points.steps.push(color);
            steps += color + 1;
        }
        let due = points.steps.len() >= POINTS_MAX || point.is_none() || sent.elapsed() > DATA_TIME;
        if due && !points.steps.is_empty() {
            session.send(PPID, &points.to_bytes()).await?;
            points.steps.clear();
            (sent, messages) = (Instant::now(), messages + 1);
            if messages >= COOKIE_MESSAGES || saved.elapsed() > COOKIE_TIME {
                session.send_cookie(&work.to_cookie()).await?;
                (saved, messages) = (Instant::now(), 0);
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        if point.is_none() {
            let end = Points { x: END, y: END, steps: Vec::new() };
            return session.send(PPID, &end.to_bytes()).await;
        }
        if steps > STEPS_A_TURN {
            steps = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// An image that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// The steps of each point, line after line.
    pub points: Vec<u32>,
    /// How often the session was failed over.
    pub failovers: u32,
    /// Points that came more than once.
    pub again: u64,
}

/// Has an image drawn.
///
/// # Errors
/// The session failed, or the service says it is done and points are missing.
pub async fn drawn(mut session: Session, image: Image) -> Result<Drawing, Error> {
    let width = usize::try_from(image.width).unwrap_or_default();
    let size = width * usize::try_from(image.height).unwrap_or_default();
    let mut points: Vec<Option<u32>> = vec![None; size];
    let (mut failovers, mut again) = (0, 0);
    session.send(PPID, image.to_bytes()).await?;
    loop {
        let data = match session.receive().await? {
            Event::Message { data, .. } => data,
            Event::FailedOver { cookie, .. } => {
                failovers += 1;
                if !cookie {
                    session.send(PPID, image.to_bytes()).await?;
                }
                continue;
            }
            Event::FailingOver { .. } | _ => continue,
        };
        let strange = || Error::Service("these are no points of our image".to_owned());
        let new = Points::from_bytes(&data).ok_or_else(strange)?;
        if (new.x, new.y) == (END, END) {
            break;
        }
        let (x, y) = (usize::try_from(new.x), usize::try_from(new.y));
        let at =
            y.unwrap_or(usize::MAX).saturating_mul(width).saturating_add(x.unwrap_or_default());
        let places = points.get_mut(at..at.saturating_add(new.steps.len())).ok_or_else(strange)?;
        for (place, color) in places.iter_mut().zip(new.steps) {
            again += u64::from(place.is_some());
            *place = Some(color);
        }
    }
    session.close().await;
    let points: Option<Vec<u32>> = points.into_iter().collect();
    let points = points.ok_or_else(|| Error::Service("points are missing".to_owned()))?;
    Ok(Drawing { points, failovers, again })
}

/// The image as a grayscale PNG, not compressed.
#[must_use]
pub fn png(image: Image, points: &[u32]) -> Vec<u8> {
    let width = usize::try_from(image.width).unwrap_or_default().max(1);
    let shade = |steps: &u32| {
        let share = u64::from(*steps) * 255 / u64::from(image.steps_max.max(1));
        255 - u8::try_from(share).unwrap_or(255)
    };
    let raw: Vec<u8> = points
        .chunks(width)
        .flat_map(|row| std::iter::once(0).chain(row.iter().map(shade)))
        .collect();
    let mut data = vec![0x78, 0x01];
    let blocks = raw.chunks(0xffff).len();
    for (number, block) in raw.chunks(0xffff).enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        data.push(u8::from(number + 1 == blocks));
        data.extend(length.to_le_bytes());
        data.extend((!length).to_le_bytes());
        data.extend(block);
    }
    let sum = raw.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    data.extend((sum.1 << 16 | sum.0).to_be_bytes());
    let mut header = Vec::new();
    header.extend(image.width.to_be_bytes());
    header.extend(image.height.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [(b"IHDR", header), (b"IDAT", data), (b"IEND", Vec::new())] {
        let chunk: Vec<u8> = name.iter().copied().chain(data).collect();
        let length = u32::try_from(chunk.len() - name.len()).unwrap_or(u32::MAX);
        file.extend(length.to_be_bytes());
        file.extend(&chunk);
        file.extend(crc(&chunk).to_be_bytes());
    }
    file
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_and_what_is_left_survive_the_wire() {
        let image = Image { algorithm: Algorithm::MandelbrotN, n: 3.5, ..Image::default() };
        let message = image.to_bytes();
        assert_eq!((message.len(), &message[..4]), (60, &[1, 0, 0, 60][..]));
        assert_eq!(Image::from_bytes(&message), Some(image));
        let work = Work { image, x: 3, y: 4 };
        let mut cookie = work.to_cookie();
        assert_eq!(cookie.len(), 76);
        // rsplib's length there.
        cookie[11] = 4;
        assert_eq!(Work::from_cookie(&cookie), Some(work));
        assert_eq!(Work::from_cookie(&cookie[..75]), None);
        let points = Points { x: 1, y: 2, steps: vec![3; POINTS_MAX] };
        assert_eq!(points.to_bytes().len(), 1312);
        assert_eq!(Points::from_bytes(&points.to_bytes()), Some(points));
    }

    #[test]
    fn what_is_too_much_is_refused() {
        for image in [
            Image { width: SIDE_MAX + 1, ..Image::default() },
            Image { height: SIDE_MAX + 1, ..Image::default() },
            Image { steps_max: STEPS_MAX + 1, ..Image::default() },
        ] {
            assert_eq!(Image::from_bytes(&image.to_bytes()), None);
        }
        // More points than there are bytes.
        let mut lie = Points { x: 0, y: 0, steps: vec![1] }.to_bytes();
        lie[15] = 200;
        assert_eq!(Points::from_bytes(&lie), None);
    }

    #[test]
    fn work_goes_through_every_point_once() {
        let image = Image { width: 3, height: 2, ..Image::default() };
        let mut work = Work { image, x: 0, y: 0 };
        let seen: Vec<(u32, u32)> =
            std::iter::from_fn(|| work.step()).map(|(x, y, _)| (x, y)).collect();
        assert_eq!(seen, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]);
        assert_eq!(work.step(), None);
        let far = Work { image, x: u32::MAX, y: u32::MAX };
        assert_eq!({ far }.step(), None);
    }

    #[test]
    fn the_square_is_a_power_of_two() {
        let image = Image { width: 40, height: 30, ..Image::default() };
        let power = Image { algorithm: Algorithm::MandelbrotN, ..image };
        let same = |(x, y): &(u32, u32)| image.point(*x, *y) == power.point(*x, *y);
        let all: Vec<(u32, u32)> = (0..40).flat_map(|x| (0..30).map(move |y| (x, y))).collect();
        // Rounding may move a few at the edge of the set.
        assert!(all.iter().filter(|point| same(point)).count() > 1190);
        let (inside, outside) = (image.point(9, 15), image.point(39, 0));
        assert_eq!((inside, outside), (255, 0));
    }
}
