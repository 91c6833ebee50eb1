/* Mailboxes of devices. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* Adds @message (the event as sync shows it) to @write for one device of @user_id, or "*" for all;
 * for a device that does not exist, or whose mailbox is full, nothing is stored. Takes a position
 * and wakes the user. */
void cm_mailbox_add (CmWrite *write, const char *user_id, const char *device_id, GBytes *message);
/* Rows of (position, message) after @from and up to @to, oldest first. */
CmRows *cm_mailbox_read (CmDb *db, const char *user_id, const char *device_id, gint64 from,
                         gint64 to, guint limit, GError **error);
/* Deletes everything up to @position. */
gboolean cm_mailbox_empty (CmDb *db, const char *user_id, const char *device_id, gint64 position,
                           GError **error);

/* Adds to @write that @origin's message was taken in; the write fails with CM_ERROR_CONFLICT when
 * it had been before. */
void
cm_mailbox_remember (CmWrite *write, const char *origin, const char *message_id, gint64 now_ms);
/* Forgets @limit of those from before @before_ms (ms since 1970). *@more: whether that may not have
 * been all. */
gboolean cm_mailbox_forget_remembered (CmDb *db, gint64 before_ms, gint64 limit, gboolean *more,
                                       GError **error);
/* As cm_mailbox_remember for a client's own transaction. */
void cm_mailbox_remember_transaction (CmWrite *write, gint64 user, const char *device_id,
                                      const char *type, const char *txn_id, gint64 now_ms);

G_END_DECLS
