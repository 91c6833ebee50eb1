/* An answer to /sync before it is text: what the database or memory gave, room by room. */
#pragma once

#include "federation/timeline.h"
#include "server/ephemeral/presence.h"
#include "server/sync/request.h"

G_BEGIN_DECLS

/* One piece of account data. */
typedef struct {
  char *type;
  GBytes *content;
} CmSyncDatum;

/* Unread counters of a thread: number of its root, 0: the main timeline. */
typedef struct {
  gint64 thread;
  gint64 notifications;
  gint64 highlights;
} CmSyncCount;

typedef struct {
  gint64 room; /* sym; 0: a room that this node does not know */
  char *room_id;
  CmMembership membership; /* at the cut: which section it stands in */
  gint64 membership_event; /* number of the event that made it so; 0: none here */
  gboolean fresh;          /* the client knows nothing of it: all of its state is shown */

  gint64 low, high;    /* the timeline lies in (low, high] */
  GPtrArray *timeline; /* of CmEvent, the oldest first */
  GPtrArray *shown;    /* of GBytes: their text where it is known already, else NULL */
  gboolean limited;
  gint64 prev_batch; /* position; what lies before it was left out */

  gint64 known_state; /* number of the state the client knows; 0: none */
  gint64 start_state; /* before the first event of the timeline as it was read */
  gint64 end_state;   /* after the last */
  gboolean linear;    /* each event stands on the state after the one before, up to end_state */
  gboolean stateless; /* the user was never inside: no state is shown */
  GPtrArray *state;   /* of CmEvent */

  GPtrArray *receipts;     /* of CmReceipt */
  gboolean typing;         /* @typists are shown */
  GPtrArray *typists;      /* user ids */
  GPtrArray *account_data; /* of CmSyncDatum */
  GArray *unread;          /* of CmSyncCount */
  gboolean changed_members;
  gint64 joined, invited; /* -1: not shown */
  char **heroes;          /* nullable */
  GBytes *stripped;       /* invite_state or knock_state: a JSON array */
} CmSyncRoom;

CmSyncRoom *cm_sync_room_new (gint64 room, const char *room_id);
void cm_sync_room_free (CmSyncRoom *room);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmSyncRoom, cm_sync_room_free)
/* TRUE when there is anything in it that a client must be told. */
gboolean cm_sync_room_is_news (const CmSyncRoom *room);
void cm_sync_room_add_datum (GPtrArray *data, const char *type, GBytes *content);
/* (transfer full) for account data. */
GPtrArray *cm_sync_data_new (void);

typedef struct {
  const CmSyncRequest *request;
  CmSyncToken next;
  GPtrArray *rooms;        /* of CmSyncRoom */
  GPtrArray *account_data; /* of CmSyncDatum */
  GPtrArray *presence;     /* of CmPresence */
  GPtrArray *to_device;    /* of GBytes */
  char **changed, **left;  /* user ids: device lists; nullable */
  CmJsonDoc *keys;         /* members that count the device's keys; nullable */
  GHashTable *ignored;     /* set of user ids; nullable */
  gboolean no_invites;     /* the user wants none */
} CmSyncAnswer;

CmSyncAnswer *cm_sync_answer_new (const CmSyncRequest *request, gint64 cut);
void cm_sync_answer_free (CmSyncAnswer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmSyncAnswer, cm_sync_answer_free)
/* TRUE when nothing stands in it for which a held call should be answered. */
gboolean cm_sync_answer_is_empty (const CmSyncAnswer *answer);

/* (transfer full) the set of users whom @content, of an m.ignored_user_list, names; NULL: nobody.
 */
GHashTable *cm_sync_ignored (GBytes *content);

G_END_DECLS
