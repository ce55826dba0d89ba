//! A bare server on glommio's own sockets.

use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, IntoRawFd as _};

use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::{LocalExecutorBuilder, Placement};

use crate::server::{BATCH_MAX, Intake, Sizes};

/// Memory that glommio registers with the kernel for each executor.
const IO_MEMORY: usize = 64 << 10;
const READ_BYTES: usize = 4 << 10;

/// Serves for ever, on this core.
pub(crate) fn serve(listener: TcpListener, core: usize, sizes: Sizes) -> io::Result<()> {
    let executor = LocalExecutorBuilder::new(Placement::Fixed(core)).io_memory(IO_MEMORY);
    let executor = executor.spawn(move || async move {
        #[expect(unsafe_code, reason = "glommio takes a listener as a number only")]
        // SAFETY: the number comes from an owned listener in the same
        // expression, so there is one owner before and after.
        let listener = unsafe { glommio::net::TcpListener::from_raw_fd(listener.into_raw_fd()) };
        while let Ok(stream) = listener.accept().await {
            glommio::spawn_local(attend(stream, sizes)).detach();
        }
    });
    let handle = executor.map_err(|error| io::Error::other(error.to_string()))?;
    handle.join().map_err(|error| io::Error::other(error.to_string()))
}

async fn attend(mut stream: glommio::net::TcpStream, sizes: Sizes) {
    let answers = vec![0xa5_u8; sizes.answer * BATCH_MAX];
    let mut scratch = [0; READ_BYTES];
    let mut intake = Intake::default();
    if stream.set_nodelay(true).is_err() {
        return;
    }
    while let Ok(bytes @ 1..) = stream.read(&mut scratch).await {
        let mut unsent = intake.take(bytes, sizes) * sizes.answer;
        while unsent > 0 {
            let batch = unsent.min(answers.len());
            if stream.write_all(&answers[..batch]).await.is_err() {
                return;
            }
            unsent -= batch;
        }
    }
}
