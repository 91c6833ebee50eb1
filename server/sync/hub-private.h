/* What the files of the hub share. Nobody else includes it.
 *
 * Only the hub's thread changes rooms and their members, under the mutex; it reads them without.
 * Everybody else holds the mutex for either. */
#pragma once

#include "schema/receipt.h"
#include "server/http/http-server.h"
#include "server/push/profiles.h"
#include "server/push/sender.h"
#include "server/sync/hub.h"

G_BEGIN_DECLS

/* How much of a room and of a user stays in memory. */
#define CM_HUB_ROOM_EVENTS   64
#define CM_HUB_ROOM_RECEIPTS 128
#define CM_HUB_USER_CHANGES  256

typedef struct _CmHubRoom CmHubRoom;

/* A user of this server who is joined to a room. */
typedef struct {
  CmHubRoom *room; /* borrowed */
  char *user_id;
  gint64 user;    /* sym */
  GArray *counts; /* of CmSyncCount; NULL: nothing is unread */
} CmHubMember;

typedef struct {
  CmEvent *event;
  gint64 position;
  GBytes *shown; /* as everybody sees it who did not send it; nullable */
  gint64 shown_at;
} CmHubEvent;

typedef struct {
  CmReceipt *receipt;
  gint64 position;
} CmHubReceipt;

struct _CmHubRoom {
  gatomicrefcount refs;
  char *room_id;
  gint64 room;         /* sym */
  GHashTable *members; /* user id -> CmHubMember */
  GArray *events;      /* of CmHubEvent: all that came after position from */
  gint64 from;
  gint64 from_state; /* the state after the last event at or before from */
  GArray *receipts;  /* of CmHubReceipt: all that came after position receipts_from */
  gint64 receipts_from;
  gint64 newest;  /* the newest position of anything in it */
  gint64 used;    /* monotonic time */
  gboolean stale; /* something of it was missed: members and state are to be read again */
};

CmHubRoom *cm_hub_room_ref (CmHubRoom *room);
void cm_hub_room_unref (CmHubRoom *room);

/* Something in a room: the user's ring says which rooms to look at. */
typedef struct {
  CmHubRoom *room;
  gint64 position;
  gint64 counter; /* of typing; 0: an event or a receipt */
} CmHubMark;

/* What a device was last told of its keys. */
typedef struct {
  CmJsonDoc *doc;
  gint64 read_at; /* monotonic time */
} CmHubKeys;

/* A user of this server whose clients follow /sync. */
typedef struct {
  char *user_id;
  gint64 from;         /* all that concerned him after this position is known here */
  GArray *marks;       /* of CmHubMark */
  gint64 personal;     /* the newest position of anything but rooms' events and receipts */
  gint64 newest;       /* the newest position of anything */
  gint64 ephemeral;    /* the counter when typing or presence last concerned him */
  gint64 presence;     /* the counter when presence did */
  GHashTable *ignored; /* set of user ids; nullable */
  gboolean primed;     /* ignored is right as of personal */
  GHashTable *keys;    /* device id -> CmHubKeys */
  GPtrArray *polls;    /* of CmSyncPoll (borrowed) */
  gint64 used;         /* monotonic time */
} CmHubUser;

typedef enum {
  CM_POLL_RUNNING, /* a thread works out the answer, or is about to */
  CM_POLL_PARKED,
  CM_POLL_DONE,
} CmPollState;

/* A call that is held. */
typedef struct {
  gatomicrefcount refs;
  CmSyncHub *hub;
  CmCall *call;
  CmSyncRequest *request;
  CmHubUser *user; /* borrowed: it stays while it has polls */
  CmTimer *timer;
  /* Guarded by the hub's mutex. */
  CmPollState state;
  gboolean expired;
  gboolean revoked;
} CmSyncPoll;

/* What a write comes to for those who wait; or something in memory changed. */
typedef struct {
  gint64 first;        /* position of the write, and ... */
  gint64 position;     /* ... its last; 0: it has none */
  char **rooms;        /* topics */
  char **users;        /* those of this server */
  GPtrArray *events;   /* of CmEvent; nullable */
  GPtrArray *receipts; /* of CmReceipt; nullable */
  CmEvent *invite;     /* of a user of this server into a room that it is not in; nullable */
  GBytes *invite_state;
  char *profile;      /* user id: push rules or ignored users changed; nullable */
  gboolean ephemeral; /* typing in rooms, presence for users */
  GHashTable *unread; /* counters that could not be written; nullable */
} CmHubChange;

struct _CmSyncHub {
  CmNode *node;
  GThread *thread;
  CmPushProfiles *profiles; /* the thread's own */
  CmPushSender *sender;     /* NULL until the hub is started */
  CmLazyMembers *lazy;
  GHashTable *dirty;       /* the thread's own, as is what follows: counters to be written */
  gint64 flushed_position; /* up to where they were written */
  gint64 flushed;          /* when that was, monotonic; when */
  gint64 swept;            /* unused rooms were dropped, and */
  gint64 ticked;           /* typing and presence looked after */

  GMutex queue_mutex; /* guards what follows */
  GCond queued;
  GQueue queue; /* of CmHubChange */
  gboolean closing;
  guint told; /* how many changes in memory came; atomic */

  GMutex mutex; /* guards what follows */
  GCond settled;
  gint64 position;    /* everything up to here went through */
  guint applied;      /* how many of the changes in memory did */
  GHashTable *rooms;  /* room id -> CmHubRoom */
  GHashTable *users;  /* user id -> CmHubUser */
  GHashTable *polls;  /* CmCall -> CmSyncPoll */
  GQueue ready;       /* of CmSyncPoll: to be worked on */
  guint workers;      /* jobs on the lane that do */
  gboolean hold_none; /* nothing is parked any more */
};

void cm_hub_keys_free (gpointer keys);

/* hub.c. With the mutex held. */
CmHubUser *cm_hub_user_activate (CmSyncHub *hub, const char *user_id);

/* hub-change.c */
void cm_hub_change_free (gpointer change);
/* Any thread; @rows are taken. */
void cm_hub_return_dirty (CmSyncHub *hub, GHashTable *rows);

/* hub-apply.c: the hub's thread only. */
/* Counts and keeps what @change brings; then the hub's position moves, and whom it concerns is
 * woken. */
void cm_hub_apply (CmSyncHub *hub, const CmHubChange *change);

/* hub-room.c: the hub's thread only. */
/* (borrowed) a room of which something is to be told; NULL with @error. @before: of the event that
 * is new in it, or the position so far. */
CmHubRoom *cm_hub_room_open (CmSyncHub *hub, const char *room_id, gint64 before, GError **error);
/* The membership of a user of this server may have changed. */
void cm_hub_room_update_member (CmSyncHub *hub, CmHubRoom *room, const char *user_id);
/* These two with the mutex held. */
void cm_hub_room_add_event (CmHubRoom *room, CmEvent *event);
void cm_hub_room_add_receipt (CmHubRoom *room, const CmReceipt *receipt, gint64 position);
/* Drops rooms and users that nobody has used for a while. */
void cm_hub_sweep (CmSyncHub *hub);

/* hub-unread.c: the hub's thread only. */
/* Counts @event for the members it concerns. */
void cm_hub_count_event (CmSyncHub *hub, CmHubRoom *room, CmEvent *event);
/* Tells the pushers of whom @event invites into a room that this server is not in, of which only
 * @stripped (JSON array) is known. */
void cm_hub_push_invite (CmSyncHub *hub, CmEvent *event, GBytes *stripped);
void cm_hub_count_receipt (CmSyncHub *hub, CmHubRoom *room, const CmReceipt *receipt);
/* The member is going: nothing is unread any more. With the mutex held. */
void cm_hub_count_nothing (CmSyncHub *hub, CmHubMember *member);

/* hub-flush.c: the hub's thread only. */
GHashTable *cm_hub_dirty_new (void);
/* @count of @member is to be written. */
void cm_hub_mark_dirty (CmSyncHub *hub, const CmHubMember *member, const CmSyncCount *count);
/* Writes what changed, when it is time or at the @last. */
void cm_hub_flush (CmSyncHub *hub, gboolean last);
/* Rows that could not be written. */
void cm_hub_take_dirty (CmSyncHub *hub, GHashTable *rows);
/* Counts what came after the counters were last written. Before the thread is started. */
gboolean cm_hub_replay (CmSyncHub *hub, GError **error);

/* poll.c */
/* With the mutex held: @user has news. */
void cm_hub_wake (CmSyncHub *hub, CmHubUser *user);
/* Without: work for what became ready. */
void cm_hub_kick (CmSyncHub *hub);

G_END_DECLS
