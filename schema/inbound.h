/* What other servers sent and no room holds: transactions that were answered, events whose turn has
 * not come, and invites and knocks of this server's users in rooms that this node is not in. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* (transfer full) what the transaction was answered; NULL without @error when it was not. */
GBytes *cm_inbound_answer (CmDb *db, const char *origin, const char *txn_id, GError **error);
/* Adds to @write that it was answered so. After two days that is forgotten. */
void cm_inbound_answered (CmWrite *write, const char *origin, const char *txn_id, GBytes *answer);

/* An event that waits for its ancestors. */
typedef struct {
  gint64 id;
  char *room_id;
  GBytes *json;
} CmParkedEvent;

void cm_parked_event_free (CmParkedEvent *event);

/* Adds to @write that the event waits; once, however often it comes, and not when @limit events of
 * its room do. */
void cm_inbound_park (CmWrite *write, const char *origin, const char *room_id, const char *event_id,
                      GBytes *json, gint64 limit);
/* (transfer full) up to @limit CmParkedEvents that @origin sent, in the order of their arrival,
 * from the one behind @after (an id) on. */
GPtrArray *
cm_inbound_parked (CmDb *db, const char *origin, gint64 after, gint64 limit, GError **error);
gboolean cm_inbound_unpark (CmDb *db, const gint64 *ids, gsize count, GError **error);
/* (transfer full) the servers of which events wait. */
char **cm_inbound_parked_origins (CmDb *db, GError **error);

/* A membership of a user of this server in a room that this node is not in. */
typedef struct {
  gint64 user;      /* sym */
  gint64 room;      /* sym */
  char *membership; /* invite, knock, leave */
  char *event_id;
  GBytes *event;
  GBytes *stripped; /* a JSON array */
  char *room_version;
} CmOutside;

void cm_outside_clear (CmOutside *outside);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmOutside, cm_outside_clear)

/* Adds it to @write, at position offset @offset. */
void cm_outside_put (CmWrite *write, const CmOutside *outside, gint64 offset);
/* How many invites and knocks of the user, but for that of the room, wait for an answer, and how
 * many bytes they take. */
gboolean cm_outside_waiting (CmDb *db, const char *user_id, const char *room_id, gint64 *count,
                             gint64 *bytes, GError **error);
/* Adds to @write that the membership has become "leave", by the event @event_id (nullable: nobody
 * else knows). Of those that did the oldest are forgotten when they are many. */
void cm_outside_leave (CmWrite *write, gint64 user, gint64 room, const char *event_id,
                       GBytes *event, gint64 offset);
/* Fills in the rest of @outside, of which user and room are given; FALSE without @error when there
 * is none. */
gboolean cm_outside_find (CmDb *db, CmOutside *outside, GError **error);

G_END_DECLS
