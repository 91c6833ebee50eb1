/* The body of a request to a push gateway. */
#pragma once

#include "federation/rooms.h"

G_BEGIN_DECLS

typedef struct {
  const char *user_id;
  const char *app_id;
  const char *pushkey;
  const CmJson *data; /* of the pusher; "url" is left out */
  CmEvent *event;     /* nullable */
  const CmJson *actions;
  const CmRoomView *view; /* of the event's room; nullable */
  const CmJson *stripped; /* its stripped state, without view; nullable */
  gint64 unread;
} CmNotification;

/* (transfer full) */
GBytes *cm_notification_body (const CmNotification *notification);

G_END_DECLS
