/* What the parts of the outbound queues share. */
#pragma once

#include "federation/destinations.h"
#include "schema/db.h"

G_BEGIN_DECLS

#define CM_TRANSACTION_MAX_PDUS 50
#define CM_TRANSACTION_MAX_EDUS 100
/* Of those in the database: as nodes a text can take a dozen times its length. */
#define CM_TRANSACTION_MAX_EDU_BYTES (1024 * 1024)

/* Rides along with a write: what of it goes to whom. */
#define CM_DESTINATION_NOTICE "destination-notice"
typedef struct {
  GStrv servers;
  gint64 event;  /* number; 0: EDUs in the database */
  gint64 offset; /* of its position in the write */
} CmDestinationNotice;

/* An event that is to be sent. */
typedef struct {
  gint64 position;
  gint64 event;
} CmOutgoing;

/* A transaction that can be sent any number of times. Its content is there while it is sent: many
 * servers may be down for long. */
typedef struct {
  char *id;           /* of its first content, so that a repeat is one */
  CmJsonDoc *content; /* NULL: nothing is left of it that can be sent, or shed */
  guint items;        /* PDUs and EDUs in it */
  gint64 made_at;     /* ms since 1970 */
  gint64 position;    /* of its last event, 0 when it has none */
  GArray *events;     /* of CmOutgoing */
  GArray *edus;       /* of gint64: ids of table destination_edu */
  gboolean more_edus; /* there may be further ones */
} CmTransactionBatch;

void cm_transaction_batch_free (CmTransactionBatch *batch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmTransactionBatch, cm_transaction_batch_free)

/**
 * cm_transaction_batch_make: puts together what is to be sent.
 * @events: of CmOutgoing, in order. @edu_limit: how many EDUs of table destination_edu to take for
 * @server at most, 0: none; they end where CM_TRANSACTION_MAX_EDU_BYTES would be exceeded, but one
 * is taken whatever its size. @ephemeral: of GBytes, further EDUs.
 * Events that are gone, and rows that cannot be read, are left out (CVE-2025-61672).
 */
CmTransactionBatch *
cm_transaction_batch_make (CmPool *pool, const char *origin, const char *server, GArray *events,
                           guint edu_limit, GPtrArray *ephemeral, GError **error);
/* Lets go of the content of @batch. */
void cm_transaction_batch_shed (CmTransactionBatch *batch);
/* Reads the content anew that @batch has shed, without what was ephemeral. */
gboolean cm_transaction_batch_refill (CmTransactionBatch *batch, CmPool *pool, const char *origin,
                                      const char *server, GError **error);

/* The statements that acknowledge @batch. @quick: for cm_destination_find_quick. */
CmWrite *cm_transaction_batch_acknowledge (const CmTransactionBatch *batch, const char *server,
                                           gboolean quick);

/* (transfer full) of CmOutgoing: the first @limit events after the acknowledged ones, up to
 * position @upto, that were addressed to @server. */
GArray *cm_destination_find_events (CmPool *pool, const char *server, gint64 upto, guint limit,
                                    GError **error);
/* (transfer full) the servers that have something unsent. */
GStrv cm_destination_find_unsent (CmPool *pool, GError **error);
/* (transfer full) the servers that were quick to take what they took last, and have not failed
 * since. */
GStrv cm_destination_find_quick (CmPool *pool, GError **error);
gboolean cm_destination_restore_backoff (CmPool *pool, CmBackoff *backoff, GError **error);
CmWrite *
cm_destination_write_backoff (const char *server, gint64 retry_at_ms, gint64 retry_after_ms);
/* Forgets the oldest EDUs of servers that share no room with this one and have taken none for a
 * month. A write: nobody else changes how many wait. */
CmWrite *cm_destination_forget_strangers (void);
/* Forgets what everybody it was addressed to has acknowledged. */
gboolean cm_destination_sweep (CmPool *pool, GError **error);

G_END_DECLS
