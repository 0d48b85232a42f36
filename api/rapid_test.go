package api_test

import _ "pgregory.net/rapid"
