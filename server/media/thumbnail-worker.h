/* `comity thumbnail-worker`: the process that decodes images of strangers. It reads one from
 * descriptor 0 and writes a thumbnail to descriptor 1, under limits that it sets itself first, so
 * that no image, however it was crafted, touches the node. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How it ends when the image has too many pixels, and when it cannot work at all (no libvips); any
 * other failure is 1 and the image's fault. */
#define CM_THUMBNAIL_WORKER_TOO_LARGE 3
#define CM_THUMBNAIL_WORKER_UNABLE    4

/* The arguments: WIDTH HEIGHT scale|crop animated|still. */
int cm_thumbnail_worker (int argc, char **argv);

G_END_DECLS
