/* Tells push gateways what users are to be notified of (push gateway API, POST
 * /_matrix/push/v1/notify). What waits is in memory: a notification that cannot be delivered soon
 * is of no use any more. A gateway that fails is left alone for a while, and one that is slow has
 * its share of the threads, so that neither holds up anybody else's. */
#pragma once

#include "server/node.h"
#include "server/push/matcher.h"

G_BEGIN_DECLS

typedef struct _CmPushSender CmPushSender;

CmPushSender *cm_push_sender_new (CmNode *node);
/* Drops what waits. */
void cm_push_sender_free (CmPushSender *sender);

typedef struct {
  const char *user_id;
  gint64 user;      /* sym */
  gint64 room;      /* sym */
  gint64 unread;    /* in that room, with what this tells of */
  CmEvent *event;   /* NULL: only the number of unread events changed */
  GBytes *actions;  /* of the rule that matched, JSON; NULL without event */
  GBytes *stripped; /* all that is known of a room that this server is not in; nullable */
} CmPushNews;

/* Queues it for all of the user's pushers. Cheap, any thread. */
void cm_push_sender_tell (CmPushSender *sender, const CmPushNews *news);
/* Now and then: tries again what failed. */
void cm_push_sender_tick (CmPushSender *sender);

/* Whether a pusher may have this URL: https, and the path that gateways have (CVE-2021-21273). */
gboolean cm_push_url_is_valid (const char *url);

G_END_DECLS
