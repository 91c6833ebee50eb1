/* What a client hands back as "since": how far it has been told everything. A position of the
 * stream, how far its mailbox was emptied, and the counter of what lives in memory only; that
 * counter is good for one life of the process, which its epoch names. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

typedef struct {
  gint64 position;
  gint64 to_device; /* position up to which messages to the device were handed out */
  gint64 ephemeral;
  guint32 epoch;
} CmSyncToken;

/* (transfer full) */
char *cm_sync_token_text (const CmSyncToken *token);
/* CM_ERROR_INVALID_PARAM for what this server never gave out. Tokens for pages of history are read
 * too: they are a position without the rest. */
gboolean cm_sync_token_parse (const char *text, CmSyncToken *token, GError **error);

G_END_DECLS
