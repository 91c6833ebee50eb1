/* Receipts: up to which event users have read, by room, kind and thread. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

typedef struct {
  gint64 room; /* sym */
  const char *room_id;
  const char *user_id;
  const char *type;      /* m.read, m.read.private */
  const char *thread_id; /* "": unthreaded; "main"; an event id */
  const char *event_id;
  gint64 event_position; /* of the event; 0: this node does not have it, or it has none */
  gint64 ts;
} CmReceipt;

/* Adds to @write the receipt, at a position of its own, unless there is one that reaches further;
 * wakes the room. A copy is attached to the write as "receipts" (a GPtrArray of CmReceipt). */
void cm_receipt_write (CmWrite *write, const CmReceipt *receipt);
CmReceipt *cm_receipt_copy (const CmReceipt *receipt);
/* Only what cm_receipt_copy made. */
void cm_receipt_free (CmReceipt *receipt);

/* Adds to @write that of the user's receipts of this kind and room only the newest @limit that are
 * of threads stay. */
void cm_receipt_keep_threads (CmWrite *write, const CmReceipt *receipt, gint64 limit);

/* Position of the event that the user's receipt of this kind stands at; 0: none. */
gboolean cm_receipt_position (CmDb *db, const CmReceipt *receipt, gint64 *position, GError **error);
/* Rows of (room, thread_id, furthest event position) of the user's receipts of either kind;
 * @rooms (of gint64). */
CmRows *cm_receipts_read (CmDb *db, const char *user_id, const GArray *rooms, GError **error);
/* Rows of (room id, user id, thread_id, event position) of receipts that came after @position. */
CmRows *cm_receipts_after (CmDb *db, gint64 position, GError **error);

G_END_DECLS
