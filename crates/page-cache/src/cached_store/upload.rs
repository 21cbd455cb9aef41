//! An upload in parts, behind which the object is another one.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::Shared;

/// The store's own upload, and the object that it makes.
pub(super) struct Upload {
    pub(super) inner: Box<dyn MultipartUpload>,
    pub(super) shared: Arc<Shared>,
    pub(super) location: Path,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let change = self.shared.change(&self.location);
        let completed = self.inner.complete().await;
        // Also if it failed: the store may have done it, and its answer been lost.
        change.over().await;
        completed
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The store's own upload may show credentials.
        f.debug_struct("Upload").field("location", &self.location).finish_non_exhaustive()
    }
}
