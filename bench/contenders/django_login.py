"""One view that asks Django who somebody is, by django-auth-ldap: the whole project. See django.ts."""
import json
import logging
import os
import sys

import ldap
from django.conf import settings
from django_auth_ldap.config import LDAPSearch

settings.configure(
    DEBUG=False,
    SECRET_KEY="of no use: nothing is signed",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="django_login",
    # No middleware, no sessions: nothing but the question.
    MIDDLEWARE=[],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["LOGIN_DATABASE"],
            "CONN_MAX_AGE": None,
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_I18N=False,
    LOGGING_CONFIG=None,
    AUTHENTICATION_BACKENDS=["django_auth_ldap.backend.LDAPBackend"],
    AUTH_LDAP_SERVER_URI=os.environ["LOGIN_LDAP_URL"],
    AUTH_LDAP_BIND_DN=os.environ["LOGIN_BIND_DN"],
    AUTH_LDAP_BIND_PASSWORD=os.environ["LOGIN_BIND_PASSWORD"],
    AUTH_LDAP_USER_SEARCH=LDAPSearch(
        os.environ["LOGIN_BASE"], ldap.SCOPE_SUBTREE, "(&(objectClass=inetOrgPerson)(uid=%(user)s))"
    ),
    AUTH_LDAP_CONNECTION_OPTIONS={ldap.OPT_REFERRALS: 0},
    # The name is looked up as it is, by the index, and the row is not written again at each login.
    AUTH_LDAP_USER_ATTR_MAP={"username": "uid"},
    AUTH_LDAP_USER_QUERY_FIELD="username",
    AUTH_LDAP_ALWAYS_UPDATE_USER=False,
)
logging.disable(logging.CRITICAL)

from django.contrib.auth import authenticate  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

application = get_wsgi_application()


def login(request):
    asked = json.loads(request.body)
    user = authenticate(request, username=asked["username"], password=asked["password"])
    if user is None:
        return reply({"authenticated": False}, 401)
    return reply({"authenticated": True, "username": user.username}, 200)


def reply(body, status):
    response = JsonResponse(body, status=status)
    # By middleware, as a rule. Without it the connection is chunked at best.
    response["Content-Length"] = str(len(response.content))
    return response


urlpatterns = [path("authenticate", login)]


if __name__ == "__main__":
    # Everybody has been here before: their rows are in place.
    from django.contrib.auth.models import User

    call_command("migrate", verbosity=0)
    User.objects.bulk_create(
        [User(username=name, password="!") for name in sys.stdin.read().split()], batch_size=500
    )
